"""What is kept is what would be read; whatever happens to the files, training goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from napari_unet.config import InputError, LabelConfig, WeightConfig
from napari_unet.targets import kept
from napari_unet.targets.grammar import Grammar, recognise
from napari_unet.targets.kept import kept_folder, make_room, read_set
from napari_unet.targets.targets import Reading, read_labels
from tests.targets.label_strategies import disks, labels_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS, WEIGHTS = LabelConfig(kind="instances"), WeightConfig()
OBJECTS = Grammar((0, 1), ("background", "object"), kind="instances")
SETTINGS = st.tuples(
    st.builds(
        LabelConfig,
        kind=st.sampled_from(["instances", "classes"]),
        zero=st.sampled_from(["background", "unlabelled"]),
        ignore=st.sampled_from([None, 3]),
        ridge=st.booleans(),
    ),
    st.builds(
        WeightConfig,
        formula=st.sampled_from(["ronneberger2015", "falk2019"]),
        w0=st.sampled_from([0.0, 10.0]),
        sigma=st.sampled_from([1.5, 5.0]),
        where=st.sampled_from(["background", "everywhere"]),
    ),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for what is kept."""
    monkeypatch.setenv("NAPARI_UNET_HOME", str(tmp_path))
    return kept_folder()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[Any]]:
    """The labels that had to be read."""
    made = []

    def spy(labels: NDArray[Any], *rest: Any) -> Reading:
        made.append(labels)
        return read_labels(labels, *rest)

    monkeypatch.setattr(kept, "read_labels", spy)
    return made


def same(a: Reading, b: Reading) -> bool:
    """Whether two readings are equal to the bit, and of the same types."""
    pairs = [(getattr(a, name), getattr(b, name)) for name in Reading.__slots__]
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(labels_of([0, 1, 2, 3]), SETTINGS), min_size=2, max_size=4))
def test_whatever_was_read_before_each_reading_is_its_own(
    cases: list[tuple[NDArray[Any], tuple[LabelConfig, WeightConfig]]],
) -> None:
    known = []
    for labels, (label_config, weight_config) in cases:
        try:
            grammar = recognise([labels], label_config)
        except InputError as error:
            assume(error.code not in {"U105", "U106"})
            raise
        fresh = read_labels(labels, grammar, label_config, weight_config)
        known.append((fresh, ([labels], grammar, label_config, weight_config)))
    for fresh, arguments in known * 2:  # the second time from the files
        assert same(read_set(*arguments)[0], fresh)


def test_the_same_content_is_read_once(reads: list[NDArray[Any]]) -> None:
    labels = [disks((40, 50), 8, 5, seed) for seed in range(3)]
    first = read_set(labels, OBJECTS, LABELS, WEIGHTS)
    assert len(reads) == 3
    strided = [np.repeat(each, 2, axis=1)[:, ::2] for each in labels]
    renamed = LabelConfig(kind="auto", names=("1=nucleus",))
    again = read_set(strided[::-1], OBJECTS, renamed, WeightConfig(balance_classes=False))
    assert len(reads) == 3
    assert all(map(same, first, again[::-1]))


def test_only_what_changed_is_read_again(reads: list[NDArray[Any]]) -> None:
    labels = [disks((40, 50), 8, 5, seed) for seed in range(3)]
    read_set(labels, OBJECTS, LABELS, WEIGHTS)
    labels[1] = labels[1].copy()
    labels[1][3, 4] = 99
    reads.clear()
    found = read_set(labels, OBJECTS, LABELS, WEIGHTS)
    assert len(reads) == 1
    assert same(found[1], read_labels(labels[1], OBJECTS, LABELS, WEIGHTS))


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_file_is_made_anew(
    damage: bytes | None, folder: Path, reads: list[NDArray[Any]]
) -> None:
    labels = [disks((40, 50), 8, 5, 0)]
    (first,) = read_set(labels, OBJECTS, LABELS, WEIGHTS)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if damage is None else damage)
    for expected in (2, 2):
        assert same(read_set(labels, OBJECTS, LABELS, WEIGHTS)[0], first)
        assert len(reads) == expected
    assert path.read_bytes() == content


def test_without_a_place_to_keep_them_labels_are_read_all_the_same(
    tmp_path: Path, reads: list[NDArray[Any]]
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    labels = [disks((40, 50), 8, 5, 0)]
    for number in (1, 2):
        assert read_set(labels, OBJECTS, LABELS, WEIGHTS)
        assert len(reads) == number


def test_the_longest_unused_go_first(folder: Path, reads: list[NDArray[Any]]) -> None:
    labels = [disks((40, 50), 8, 5, seed) for seed in range(3)]
    for age, each in enumerate(labels):
        read_set([each], OBJECTS, LABELS, WEIGHTS)
        for path in folder.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 60 - age))
    (folder / "notes.txt").write_bytes(bytes(10**6))  # none of ours
    read_set(labels[:1], OBJECTS, LABELS, WEIGHTS)  # the oldest is in use again
    sizes = [path.stat().st_size for path in folder.glob("*.reading")]
    make_room(folder, sum(sizes) - 1)
    reads.clear()
    read_set(labels, OBJECTS, LABELS, WEIGHTS)
    assert len(reads) == 1
    assert np.array_equal(reads[0], labels[1])
    assert (folder / "notes.txt").exists()


def test_labels_that_cannot_be_read_are_not_kept(folder: Path) -> None:
    classes = Grammar((0, 5), ("background", "cell"))
    with pytest.raises(InputError, match="U108"):
        read_set([np.array([0, 7, 5])], classes, LABELS, WEIGHTS)
    assert not folder.exists()
