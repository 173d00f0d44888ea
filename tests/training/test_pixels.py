"""Images of different pixel sizes are learned from at one; labels keep objects apart."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from napari_unet.arrays.axes import Picture
from napari_unet.arrays.pixel_size import known_size
from napari_unet.config import TrainConfig
from napari_unet.library.folders import read_card
from napari_unet.training.data import load_data
from napari_unet.training.loop import train


def settings(**changes: object) -> TrainConfig:
    fixed = {"epochs": 1, "validation": 0, "normalisation": "none", **changes}
    return TrainConfig.from_recipe("quick", **fixed)


def pair(size: float, unit: str = "µm", *, fine: int = 1) -> tuple[Picture, Picture]:
    """The same two touching squares, `fine` times as many pixels, each of a size in µm."""
    labels = np.zeros((24, 32), np.uint16)
    labels[4:16, 4:16], labels[4:16, 16:26] = 300, 7
    labels = labels.repeat(fine, axis=0).repeat(fine, axis=1)
    image = np.where(labels > 0, 50, 10).astype(np.uint8)
    return tuple(Picture(a, "YX", (size, size), f"at {size}", unit=unit) for a in (image, labels))


def test_all_images_are_brought_to_the_pixels_of_the_first() -> None:
    data = load_data(settings(), [pair(1.0), pair(0.5, fine=2), pair(0.25, fine=4)])
    assert data.pixels.spacing == (1.0, 1.0)
    first, *others = data.train
    for other in others:
        assert other.image.shape == first.image.shape
        np.testing.assert_array_equal(other.truth, first.truth)
        np.testing.assert_array_equal(other.weights, first.weights)
        assert np.abs(other.image - first.image).mean() < 2
    assert any("2 of 3 images resampled" in note for note in data.notes)
    assert any("at 0.5 from 0.5 to 1 µm" in note for note in data.notes)


@pytest.mark.parametrize("spacing", [(0.5, 0.5), (2.0, 1.0)])
def test_touching_objects_stay_apart_at_any_size(spacing: tuple[float, float]) -> None:
    data = load_data(settings(spacing=spacing), [pair(1.0)])
    (source,) = data.train
    assert source.truth.shape == tuple(round(n / s) for n, s in zip((24, 32), spacing, strict=True))
    row = source.truth[source.truth.shape[0] * 10 // 24]
    runs = np.flatnonzero(np.diff(np.r_[0, row.astype(int), 0]) == 1)
    assert len(runs) == 2  # the ridge between them is carved at the new size


@pytest.mark.parametrize(
    ("changes", "unit", "words"),
    [({"spacing": None}, "µm", "differ in size, 1 to 0.5 µm"), ({}, "", "")],
)
def test_as_they_are_where_asked_or_where_no_unit_is_known(changes, unit, words) -> None:
    data = load_data(settings(**changes), [pair(1.0, unit), pair(0.5, unit, fine=2)])
    assert [s.image.shape for s in data.train] == [(1, 24, 32), (1, 48, 64)]
    assert (data.pixels.spacing, data.pixels.unit) == ((1.0, 1.0), unit)
    assert any(words in note for note in data.notes)
    assert bool(words) == any("pixels of the images differ" in note for note in data.notes)


def test_what_does_not_tell_its_size_is_taken_as_it_is_and_named() -> None:
    data = load_data(settings(), [pair(3.0, ""), pair(0.5, fine=2)])
    assert data.pixels.spacing == (0.5, 0.5)
    assert [s.image.shape for s in data.train] == [(1, 24, 32), (1, 48, 64)]
    assert any("1 of 2 images without a known pixel size" in note for note in data.notes)


def test_a_size_beyond_belief_changes_no_image() -> None:
    data = load_data(settings(), [pair(0.5, fine=2), pair(352.8)])
    assert [s.image.shape for s in data.train] == [(1, 48, 64), (1, 24, 32)]
    assert any("at 352.8 says 352.8 µm, more than 10 times" in note for note in data.notes)


def test_values_are_blended_unless_one_of_them_means_nothing() -> None:
    image, labels = pair(1.0)
    for labels_config, nearest in (({}, False), ({"zero": "unlabelled"}, True)):
        kind = {"kind": "regression", **labels_config}
        data = load_data(settings(labels=kind, spacing=(0.4, 0.4)), [(image, labels)])
        (source,), (target,) = data.train, data.target
        found = np.unique(np.rint(source.truth[source.weights[None] > 0] * target.spread
                                  + target.mean))  # fmt: skip
        assert (len(found) <= 3) == nearest


def test_planes_of_a_stack_have_the_pixels_of_the_plane() -> None:
    image = np.random.default_rng(0).random((3, 20, 30), np.float32)
    stack = Picture(image, "ZYX", (2.0, 0.5, 0.5), "stack", unit="µm")
    labels = Picture((image > 0.5).astype(np.uint8), "ZYX")
    data = load_data(settings(spacing=(1.0, 1.0)), [(stack, labels)])
    assert [s.image.shape for s in data.train] == [(1, 10, 15)] * 3
    volume = load_data(settings(model={"ndim": 3}), [(stack, labels)])
    assert volume.pixels.spacing == known_size(stack, 3) == (2.0, 0.5, 0.5)


def test_a_size_needs_a_number_for_each_axis() -> None:
    with pytest.raises(ValidationError, match=r"U150.*3 numbers, the network 2 axes"):
        settings(spacing=(1.0, 1.0, 1.0))


def test_the_card_says_the_size_and_a_tuned_model_inherits_it(tmp_path) -> None:
    config = settings(epochs=0, threads=1, patch=16, batch=1, model={"base": 4, "depth": 1})
    list(train(config, [pair(0.5, fine=2)], tmp_path / "parent"))
    events = list(train(config, [pair(1.0)], tmp_path / "child", parent=tmp_path / "parent"))
    cards = [read_card(tmp_path / name) for name in ("parent", "child")]
    assert [(card.spacing, card.unit) for card in cards] == [((0.5, 0.5), "µm")] * 2
    assert any("1 to 0.5 µm" in getattr(event, "text", "") for event in events)
