"""The meaning of labels is found out, told, or asked for in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given

from napari_unet.arrays.files import open_picture
from napari_unet.config import InputError, LabelConfig
from napari_unet.targets.grammar import recognise
from tests.targets.label_strategies import labels_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

INSTANCES, CLASSES = LabelConfig(kind="instances"), LabelConfig(kind="classes")
SPARSE_INSTANCES = LabelConfig(kind="instances", zero="unlabelled")
SPARSE_CLASSES = LabelConfig(kind="classes", zero="unlabelled")


@given(labels_of([0, 1, 5, 255, 70_000]))
def test_class_values_are_what_occurs(labels: NDArray[Any]) -> None:
    assume(len(np.unique(labels)) > 1)
    grammar = recognise([labels], CLASSES)
    assert grammar.values == tuple(np.unique(labels).tolist())
    assert len(grammar.names) == len(grammar.values)


@given(labels_of([0, 1, 2, 3]))
def test_a_set_means_what_all_its_images_mean(labels: NDArray[Any]) -> None:
    assume(len(np.unique(labels)) > 1)
    parts = [pixel.reshape(1) for pixel in labels.ravel()]
    assert recognise(parts, CLASSES) == recognise([labels], CLASSES)


@pytest.mark.parametrize(
    ("folder", "kind"), [("dsb2018", "instances"), ("axondeepseg_sem", "classes")]
)
def test_real_labels_are_read_as_what_they_are_each_and_together(
    data: Path, folder: str, kind: str
) -> None:
    paths = sorted((data / folder / "labels").glob("*.tif"))
    labels = [np.asarray(open_picture(path, ndim=2, labels=True).data) for path in paths]
    for some in (*([one] for one in labels), labels):
        grammar = recognise(some, LabelConfig(kind="auto"))
        assert grammar.kind == kind
        assert any(note.endswith(f"read as {kind}") for note in grammar.notes)


def test_instances_are_objects_on_background() -> None:
    grammar = recognise([np.array([0, 4, 9])], INSTANCES)
    assert grammar.values == (0, 1)
    assert grammar.names == ("background", "object")
    assert grammar.notes == ()
    assert not grammar.split


@pytest.mark.parametrize("value", [1, 255])
def test_one_number_for_all_objects_means_connected_regions(value: int) -> None:
    grammar = recognise([np.array([0, value]), np.array([0, 0])], INSTANCES)
    assert grammar.split
    assert grammar.notes == (
        f"labels hold 0 and {value} only: read as background and objects, "
        "one for each connected region",
    )


def test_classes_taken_for_instances_are_suspected() -> None:
    stripes = np.tile([0, 1, 0, 2], 9)
    assert recognise([stripes], INSTANCES).notes == (
        "2 numbers (1 and 2) stand in 18 regions: if they are classes, choose kind = classes",
    )


def test_objects_taken_for_classes_are_suspected() -> None:
    notes = recognise([np.arange(30)], CLASSES).notes
    assert notes == ("30 classes: if they are objects, choose kind = instances",)


def test_0_and_255_are_two_classes() -> None:
    grammar = recognise([np.array([0, 255])], CLASSES)
    assert grammar.values == (0, 255)
    assert grammar.notes == ("labels hold 0 and 255 only: read as background and one class",)


def test_1_is_background_where_0_is_unlabelled() -> None:
    grammar = recognise([np.array([0, 0, 1, 2, 3])], SPARSE_INSTANCES)
    assert grammar.values == (0, 1)
    assert grammar.notes == (
        "2 pixels (40.0%) with value 0 are ignored",
        "0 is unlabelled: 1 is read as background, 2 and above as objects",
    )


@pytest.mark.parametrize(
    ("labels", "config", "n_classes", "values"),
    [
        ([0, 2], CLASSES, None, (0, 2)),
        ([0, 2], CLASSES, 3, (0, 1, 2)),
        ([0, 1], CLASSES, 1, (0, 1)),
        ([0, 255], CLASSES, 2, (0, 255)),
        ([0, 1, 3], SPARSE_CLASSES, None, (1, 3)),
        ([0, 1, 3], SPARSE_CLASSES, 3, (1, 2, 3)),
    ],
)
def test_indices_stay_themselves_where_the_network_knows_them(
    labels: list[int], config: LabelConfig, n_classes: int | None, values: tuple[int, ...]
) -> None:
    assert recognise([np.array(labels)], config, n_classes).values == values


def test_dense_instances_need_no_background_but_a_ridge() -> None:
    labels = np.array([[1, 2], [3, 4]])
    assert recognise([labels], INSTANCES).notes[0].startswith("no pixel is 0")
    with pytest.raises(InputError, match="U106"):
        recognise([labels], LabelConfig(ridge=False))


REFUSED: dict[str, tuple[str, list[ArrayLike], LabelConfig]] = {
    "no labels": ("U101", [], INSTANCES),
    "nothing drawn": ("U105", [np.zeros((8, 8), int)], INSTANCES),
    "nothing drawn, sparse": ("U105", [np.zeros((8, 8), int)], SPARSE_CLASSES),
    "all ignored": ("U105", [np.full(9, 255)], LabelConfig(kind="classes", ignore=255)),
    "background only": ("U106", [np.array([0, 1, 1])], SPARSE_INSTANCES),
    "objects only": ("U106", [np.array([5, 5])], INSTANCES),
    "objects only, sparse": ("U106", [np.array([0, 2, 3])], SPARSE_INSTANCES),
    "one class": ("U106", [np.array([0, 2, 2])], SPARSE_CLASSES),
    "negative": ("U109", [np.array([0, 1]), np.array([0, -1])], INSTANCES),
    "not integral": ("U110", [np.array([0, 0.5])], INSTANCES),
    "objects as classes": ("U111", [np.arange(300)], CLASSES),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_learned_is_refused(case: str) -> None:
    code, labels, config = REFUSED[case]
    with pytest.raises(InputError) as caught:
        recognise(labels, config)
    assert caught.value.code == code


def test_more_classes_than_the_network_has() -> None:
    with pytest.raises(InputError, match=r"U108: labels hold 3 classes \(0, 1 and 7\), the netw"):
        recognise([np.array([0, 1, 7])], CLASSES, n_classes=2)


def test_refusals_carry_the_numbers_and_the_array() -> None:
    with pytest.raises(InputError, match="none of 64 pixels is labelled"):
        recognise([np.zeros((8, 8), int)], INSTANCES)
    with pytest.raises(InputError, match=r"labels 2 of 2 .*-1"):
        recognise([np.array([0, 1]), np.array([0, -1])], INSTANCES)
    with pytest.raises(InputError, match=r"all 2 labelled pixels are of one class \(value 2\)"):
        recognise([np.array([0, 2, 2])], SPARSE_CLASSES)
