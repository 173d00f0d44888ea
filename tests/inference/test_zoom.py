"""An image of other pixels is predicted at the model's, and the result is in its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.arrays.axes import Picture
from napari_unet.config import InputError, PredictConfig
from napari_unet.events import Noted, TileDone
from napari_unet.inference.check import check_tiles
from napari_unet.inference.plan import plan_prediction
from napari_unet.inference.predict import predict
from napari_unet.inference.zoom import Zoom, choose_zoom

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.inference.model import Model

ALL = ("classes", "probabilities", "uncertainty", "instances", "attention", "loss")


def at(model: Model, *spacing: float) -> Model:
    """The same model, trained at a size of pixels in µm."""
    card = model.card.model_copy(update={"spacing": spacing, "unit": "µm"})
    return replace(model, card=card)


def of(data: np.ndarray, *spacing: float, unit: str = "µm") -> Picture:
    return Picture(data, "TZYX"[-data.ndim :], spacing, "cells", unit=unit)


def run(model: Model, picture: Picture, truth: object = None, **changes: object) -> dict:
    out: dict = {}
    config = PredictConfig.model_validate({"device": "cpu", **changes})
    list(predict(model, picture, out, config, truth=truth))
    return out


def spots(*shape: int) -> np.ndarray:
    """Something smooth to look at: an image whose pixels are finer than its structures."""
    grid = np.meshgrid(*(np.linspace(0, n / 5, n) for n in shape), indexing="ij")
    return (100 + 20 * np.prod([np.sin(g) for g in grid], axis=0)).astype(np.float32)


@st.composite
def windows(draw):
    ndim = draw(st.integers(1, 3))
    sizes = [(draw(st.integers(1, 60)), draw(st.integers(1, 60))) for _ in range(ndim)]
    spans = [sorted((draw(st.integers(0, n)), draw(st.integers(0, n)))) for n, _ in sizes]
    window = tuple(slice(a, b) if a < b else slice(0, n) for (a, b), (n, _) in
                   zip(spans, sizes, strict=True))  # fmt: skip
    return tuple(zip(*sizes, strict=True)), window, draw(st.sampled_from([1, 2, 4, 8]))


@given(windows())
def test_what_comes_back_of_a_window_is_cut_from_what_comes_back_of_the_whole(case):
    (image, model), window, edge = case
    stride = (edge,) * len(image)
    zoom = Zoom(image, model, (stride,))
    cells = tuple(-(-n // edge) for n in model)
    told = np.random.default_rng(0).normal(size=(2, *cells)).astype(np.float32)
    every = zoom.back(told, tuple(slice(0, n) for n in image), stride)
    seen = zoom.seen(window)
    touched = tuple(slice(w.start // edge, -(-w.stop // edge)) for w in seen)
    found = zoom.back(told[(slice(None), *touched)], window, stride)
    at = tuple(slice(w.start // edge, -(-w.stop // edge)) for w in window)
    np.testing.assert_array_equal(found, every[(slice(None), *at)])


def test_equal_pixels_change_no_bit(models, picture):
    model, image = models("attention"), picture(40, 48)
    plain = run(model, Picture(image, "YX"), outputs=("probabilities", "attention"))
    for sizes in ((0.5, 0.5), (0.51, 0.49)):  # within what a stage is known to
        found = run(at(model, 0.5, 0.5), of(image, *sizes), outputs=("probabilities", "attention"))
        for name, array in plain.items():
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(("factor", "share"), [(2, 0.9), (3, 0.999)])  # an odd one has a middle
def test_an_image_of_finer_pixels_gets_the_classes_of_the_original(models, factor, share):
    model, image = at(models(), 1.0, 1.0), spots(60, 64)
    fine = image.repeat(factor, axis=0).repeat(factor, axis=1)
    coarse = run(model, of(image, 1.0, 1.0), outputs=("classes", "probabilities"))
    found = run(model, of(fine, 1 / factor, 1 / factor), outputs=("classes", "probabilities"))
    assert found["classes"].shape == fine.shape
    np.testing.assert_array_equal(found["classes"], found["probabilities"].argmax(axis=0))
    middle = (slice(factor // 2, None, factor),) * 2
    same = found["classes"][middle] == coarse["classes"]
    assert same.mean() > share
    assert 0.02 < coarse["classes"].mean() < 0.98  # there is something to tell apart
    off = run(model, of(fine, 1 / factor, 1 / factor), outputs=("classes",), resample=False)
    assert (off["classes"][middle] == coarse["classes"]).mean() < same.mean()


@pytest.mark.parametrize(
    ("ndim", "shape", "here", "there"),
    [
        (1, (160,), (0.7,), (1.0,)),
        (2, (61, 75), (0.65, 0.65), (0.325, 0.325)),
        (2, (3, 60, 70), (1.0, 0.5), (0.7, 0.8)),
        (3, (9, 22, 26), (2.0, 0.5, 0.5), (1.0, 0.6, 0.6)),
    ],
)
def test_tiles_equal_the_whole(models, ndim, shape, here, there):
    architecture = "attention" if ndim == 2 else "unet"
    model, image = at(models(architecture, ndim), *there), of(spots(*shape), *here)
    truth = (np.asarray(image.data) > 100).astype(np.uint8)
    outputs = ALL if ndim == 2 else ("classes", "probabilities", "instances", "loss")
    whole = run(model, image, truth, outputs=outputs, tile=512)
    tiled = run(model, image, truth, outputs=outputs, tile=16)
    assert set(whole) == set(tiled)
    for name, array in whole.items():
        assert array.shape == tiled[name].shape
        if array.dtype.kind == "f":
            np.testing.assert_allclose(tiled[name], array, atol=2e-4)
    assert (whole["classes"] == tiled["classes"]).mean() > 0.999
    assert np.isfinite(whole["loss"]).all()
    np.testing.assert_array_equal(whole["instances"] > 0, whole["classes"] > 0)


def test_a_region_is_cut_from_the_whole(models):
    model, image = at(models(), 0.5, 0.5), of(spots(61, 75), 0.8, 0.3)
    whole = run(model, image, outputs=("probabilities",))["probabilities"]
    region = ((7, 50), (11, 64))
    part = run(model, image, outputs=("probabilities",), region=region, tile=16)["probabilities"]
    np.testing.assert_allclose(part, whole[:, 7:50, 11:64], atol=2e-4)


def test_a_stopped_prediction_goes_on_to_the_same_bytes(models, tmp_path: Path):
    model, image = at(models("attention"), 0.5, 0.5), of(spots(61, 75), 0.8, 0.3)
    config = PredictConfig(outputs=("probabilities", "attention"), tile=16, device="cpu")
    list(predict(model, image, tmp_path / "a.zarr", config))
    stream = predict(model, image, tmp_path / "b.zarr", config)
    for event in stream:
        if isinstance(event, TileDone) and event.done == 5:
            stream.close()
    off = config.model_copy(update={"resample": False})
    with pytest.raises(InputError, match=r"U151.*resampled \[98, 45\], not None"):
        list(predict(model, image, tmp_path / "b.zarr", off, resume=True))
    list(predict(model, image, tmp_path / "b.zarr", config, resume=True))
    one, other = (zarr.open_group(tmp_path / f"{name}.zarr", mode="r") for name in "ab")
    for name in ("probabilities", *(f"attention/{gate}" for gate in one["attention"])):
        np.testing.assert_array_equal(one[name][...], other[name][...])
    assert one["probabilities"].attrs["spacing"] == [0.8, 0.3]
    assert one["probabilities"].attrs["unit"] == "µm"


def test_the_check_of_tiles_holds(models):
    model, image = at(models(), 0.5, 0.5), of(spots(90, 80), 0.8, 0.35)
    found = check_tiles(model, image, PredictConfig(tile=16, device="cpu"))
    assert found["largest"] < 1e-3 * found["spread"]


@pytest.mark.parametrize(
    ("spacing", "unit", "resample", "seen", "words"),
    [
        ((0.65, 0.65), "µm", True, (80, 96), "resampled from 0.65 to 0.325 µm"),
        ((0.65, 0.65), "µm", False, (40, 48), "not resampled from 0.65 to 0.325 µm: resample is"),
        ((0.65, 352.0), "µm", True, (40, 48), "more than 10 times, is the file right"),
        ((0.33, 0.32), "µm", True, (40, 48), ""),
        ((1.0, 1.0), "", True, (40, 48), "not known (the model's: 0.325 µm)"),
    ],
)
def test_what_is_done_is_said(models, spacing, unit, resample, seen, words):
    model, image = at(models(), 0.325, 0.325), of(spots(40, 48), *spacing, unit=unit)
    config = PredictConfig(device="cpu", resample=resample)
    zoom = choose_zoom(model.card, image, config)
    assert (zoom.model, bool(zoom.note)) == (seen, bool(words))
    plan = plan_prediction(model, image, config)
    assert words in str(plan)
    notes = [e.text for e in predict(model, image, {}, config) if isinstance(e, Noted)]
    assert words in notes[0]


def test_sizes_without_a_unit_are_compared_and_left(models):
    card = models().card.model_copy(update={"spacing": (0.5, 0.5)})
    image = of(spots(40, 48), 1.0, 1.0, unit="")
    zoom = choose_zoom(card, image, PredictConfig())
    assert zoom.plain
    assert zoom.note == "not resampled from 1 to 0.5: in no known unit"
    assert not choose_zoom(card, of(spots(40, 48), 0.5, 0.5, unit=""), PredictConfig()).note


def test_tiles_of_resampled_images_fit_the_memory(models):
    model = at(models(), 1.0, 1.0)
    data = np.broadcast_to(np.float32(1), (4000, 4000))
    config = PredictConfig(device="cpu", tile=512)
    fine, plain, coarse = (
        plan_prediction(model, of(data, size, size), config).bytes for size in (4.0, 1.0, 0.25)
    )
    assert fine > plain  # 16 times as many pixels are seen
    assert coarse < 2 * plain
    limited = PredictConfig(device="cpu", memory_gib=0.15)
    assert plan_prediction(model, of(data, 4.0, 4.0), limited).bytes <= 0.15 * 2**30
