"""Whatever the blocks, regions get the very numbers that they would get in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.config import InputError
from napari_unet.inference import components
from napari_unet.inference.components import Blocks, Regions, label_components
from tests.arrays.spies import Spy
from tests.targets.label_strategies import disks, labels_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Labels = NDArray[np.integer[Any]]

ENOUGH = 2**30


def number(
    classes: Any, block: tuple[int, ...], out: Any = None, memory: int = ENOUGH, **options: Any
) -> tuple[Labels, Regions]:
    """Run the search to its end; return what it wrote and what it returned."""
    written = np.full(classes.shape, 7, np.uint32) if out is None else out
    search = label_components(classes, written, Blocks(classes.shape, block), memory, **options)
    while True:
        try:
            next(search)
        except StopIteration as end:
            return np.asarray(written[...]), end.value


def in_memory(classes: Labels, values: list[int] | None = None, smallest: int = 0) -> Labels:
    """Label class by class with scipy, and number in reading order."""
    wanted = [v for v in np.unique(classes) if v] if values is None else values
    found = []  # (index of the first pixel, pixels)
    for value in wanted:
        labels, n = ndimage.label(classes == value)
        each = [np.flatnonzero(labels == i) for i in range(1, n + 1)]
        found += [(at[0], at) for at in each if len(at) >= smallest]
    result = np.zeros(classes.size, np.uint32)
    for i, (_, at) in enumerate(sorted(found, key=lambda pair: pair[0]), start=1):
        result[at] = i
    return result.reshape(classes.shape)


@given(labels_of([0, 1, 2]), st.integers(0, 4), st.data())
def test_equals_the_search_in_memory(classes: Labels, smallest: int, data: st.DataObject) -> None:
    block = tuple(data.draw(st.integers(1, n + 1)) for n in classes.shape)
    values = data.draw(st.sampled_from([None, [1], [2, 1], [0, 2], []]))
    labels, regions = number(classes, block, values=values, smallest=smallest)
    expected = in_memory(classes, values, smallest)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(regions.sizes, np.bincount(expected.ravel())[1:])
    boxes = [[(s.start, s.stop) for s in box] for box in ndimage.find_objects(expected)]
    np.testing.assert_array_equal(
        np.stack([regions.starts, regions.stops], axis=-1).ravel(), np.ravel(boxes)
    )
    first = [np.flatnonzero(expected == i + 1)[0] for i in range(len(regions))]
    np.testing.assert_array_equal(regions.firsts, first)


@pytest.mark.parametrize("shape", [(30,), (20, 30), (8, 9, 10)])
def test_background_holds_no_region_and_a_full_array_one(shape: tuple[int, ...]) -> None:
    block = tuple(n // 3 for n in shape)
    empty, none = number(np.zeros(shape, np.uint8), block)
    full, one = number(np.full(shape, 3, np.int64), block)
    assert not empty.any()
    assert len(none) == 0
    assert np.all(full == 1)
    assert one.sizes.tolist() == [full.size]
    assert one.kinds.tolist() == [3]


def test_a_region_that_winds_through_all_blocks_is_one() -> None:
    comb = np.zeros((33, 65), np.uint8)
    comb[:, ::2] = 1
    teeth, _ = number(comb, (4, 4))
    comb[-1] = 1
    joined, _ = number(comb, (4, 4))
    assert teeth.max() == 33
    assert joined.max() == 1


def test_a_diagonal_line_of_background_parts() -> None:
    classes = 1 - np.eye(20, dtype=np.uint8)
    labels, _ = number(classes, (6, 6))
    assert labels.max() == 2
    assert labels[0, 1] == 1
    assert labels[1, 0] == 2


def test_chunks_on_disk_hold_the_same_numbers(tmp_path: Path) -> None:
    classes = (disks((90, 110), 12, 15, seed=1) > 0).astype(np.uint8)
    group = zarr.create_group(tmp_path / "x.zarr")
    lazy = group.create_array("classes", data=classes, chunks=(32, 32))
    out = group.create_array("instances", shape=(90, 110), dtype=np.uint32, chunks=(32, 32))
    labels, _ = number(lazy, (32, 64), out)
    np.testing.assert_array_equal(labels, in_memory(classes))


def test_each_block_of_the_classes_is_read_once_and_nothing_else() -> None:
    classes = Spy(disks((40, 50), 9, 6, seed=2))
    number(classes, (16, 25))
    assert sorted(classes.reads) == sorted([(16, 25)] * 4 + [(8, 25)] * 2)


def test_more_pieces_than_the_memory_can_hold_are_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (64, 64))
    with pytest.raises(InputError, match=r"pieces of objects take .* raise memory_gib") as error:
        number(noise, (16, 16), memory=20_000)
    assert error.value.code == "U161"


def test_more_regions_than_there_are_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "LARGEST_ID", 9)
    dots = np.zeros((10, 4), np.uint8)
    dots[::2, ::2] = 1
    with pytest.raises(InputError, match=r"10 objects .* raise instances.smallest_px") as error:
        number(dots, (3, 3))
    assert error.value.code == "U150"
    assert not number(dots, (3, 3), smallest=2)[0].any()
