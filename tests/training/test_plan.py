"""What is planned follows from the images alone, and a plan that was made is kept."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_unet.arrays.axes import Picture
from napari_unet.config import InputError, ModelConfig, TrainConfig
from napari_unet.events import Noted, Stepped
from napari_unet.inference.model import open_model
from napari_unet.library.folders import read_card
from napari_unet.models.geometry import measure
from napari_unet.models.memory import bytes_to_learn
from napari_unet.models.registry import build
from napari_unet.training.data import load_data
from napari_unet.training.loop import prepare, train
from napari_unet.training.plan import (
    MOST,
    _plan_patches,
    bytes_per_pixel,
    fit,
    patch_sizes,
    plan_axes,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.training.data import TrainingData

CPU = torch.device("cpu")
TINY = {"model": {"base": 2, "depth": 3, "ndim": 3, "norm": "batch"}, "threads": 1}


def volume(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A bright box in noise."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    labels[tuple(slice(n // 4, n // 2 + 1) for n in shape)] = 1
    return (rng.normal(100, 10, shape) + 60 * labels).astype(np.float32), labels


def load(shape: tuple[int, ...], config: TrainConfig, count: int = 1) -> TrainingData:
    return load_data(config, [volume(shape, k) for k in range(count)])


def robust(**changes: Any) -> TrainConfig:
    return TrainConfig.from_recipe("robust", **{"epochs": 1, "validation": 0, **changes})


@pytest.mark.parametrize(
    ("shape", "spacing", "flat", "halvings"),
    [
        ((64, 64, 64), (1, 1, 1), (0, 0, 0), (3, 3, 3)),
        ((5, 256, 256), (1, 1, 1), (0, 0, 0), (0, 3, 3)),
        ((24, 40, 31), (1, 1, 1), (0, 0, 0), (2, 3, 2)),
        ((64, 64, 64), (2, 1, 1), (0, 0, 0), (3, 3, 3)),
        ((64, 64, 64), (3, 1, 1), (1, 0, 0), (2, 3, 3)),
        ((64, 64, 64), (5, 1, 1), (2, 0, 0), (1, 3, 3)),
        ((64, 64, 64), (100, 1, 1), (3, 0, 0), (0, 3, 3)),
        ((5, 256, 256), (4, 0.5, 0.5), (2, 0, 0), (0, 3, 3)),
        ((1, 7, 8), (1, 1, 1), (0, 0, 0), (0, 0, 1)),
    ],
)
def test_axes_wait_for_finer_ones_and_keep_four_pixels(shape, spacing, flat, halvings) -> None:
    assert plan_axes(shape, spacing, 3) == (flat, halvings)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_plan_of_axes_is_one_that_a_network_takes(depth: int) -> None:
    rng = np.random.default_rng(depth)
    for _ in range(50):
        shape, spacing = rng.integers(1, 200, 3).tolist(), rng.uniform(0.1, 8, 3).tolist()
        flat, halvings = plan_axes(shape, spacing, depth)
        config = ModelConfig(ndim=3, depth=depth, flat=flat, halvings=halvings)
        for n, times in zip(shape, halvings, strict=True):
            assert times == 0 or n // 2**times >= 4
        assert config.flat == flat


@pytest.mark.parametrize("shape", [(5, 40, 36), (24, 40, 31)])
def test_a_stack_of_few_planes_trains_and_predicts(shape: tuple[int, ...], tmp_path: Path) -> None:
    config = TrainConfig.from_recipe("quick", **TINY, epochs=1, steps_per_epoch=2, patch=24)
    events = list(train(config, [volume(shape), volume(shape, 1)], tmp_path / "m"))
    (said,) = [e.text for e in events if isinstance(e, Noted) and "halved" in e.text]
    model = open_model(tmp_path / "m")
    assert said in model.card.training["notes"]
    assert model.card.model.halvings[0] == {5: 0, 24: 2}[shape[0]]
    assert model.geometry.step[0] == 2 ** model.card.model.halvings[0]
    image, _ = volume(shape, 2)
    whole, tiled = (model.predict(image, tile=tile)["probabilities"] for tile in (64, 32))
    assert whole.shape == (2, *shape)
    np.testing.assert_allclose(tiled, whole, atol=1e-4 * whole.std())


def test_what_was_set_is_kept_and_what_is_fixed_is_not_planned() -> None:
    for changes in ({"model": {"halvings": (1, 2, 3)}}, {"plan": "fixed"}):
        config = TrainConfig.from_recipe("quick", **{**TINY, "epochs": 1})
        config = TrainConfig.from_settings(config.model_dump(), changes)
        fitted, notes = fit(config, load((5, 40, 36), config), CPU)
        assert fitted.model.halvings == config.model.halvings
        assert not notes


def test_planes_are_never_planned_by_axes() -> None:
    config = TrainConfig.from_recipe("quick", epochs=1)
    fitted, notes = fit(config, load((20, 90), config), CPU)
    assert fitted.model.halvings is None
    assert not notes


@pytest.mark.parametrize(
    ("shape", "depth"),
    [((512, 512), 5), ((70, 200), 4), ((40, 40), 3), ((9, 9), 1), ((3, 300), 1)],
)
def test_the_depth_leaves_four_pixels_at_the_bottom(shape: tuple[int, ...], depth: int) -> None:
    config = robust(patch=8, batch=2)
    fitted, notes = fit(config, load(shape, config), CPU)
    assert fitted.model.depth == depth
    assert any(f"{depth} levels" in note for note in notes)


def test_a_volume_too_small_to_be_halved_is_worth_one_level() -> None:
    config = robust(patch=8, batch=2, model={"ndim": 3})
    fitted, _ = fit(config, load((5, 7, 6), config), CPU)
    assert (fitted.model.depth, fitted.model.halvings) == (1, (0, 0, 0))


def test_a_depth_that_was_chosen_is_kept() -> None:
    for model in ({"depth": 2}, {"architecture": "residual", "variant": "zhang2018"}):
        config = robust(patch=8, batch=2, model=model)
        fitted, _ = fit(config, load((200, 200), config), CPU)
        assert fitted.model.depth == config.model.depth


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_patches_grow_with_the_memory_up_to_the_image(ndim: int) -> None:
    config = robust(model={"base": 4, "ndim": ndim, "depth": 2})
    data = load({1: (500,), 2: (90, 130), 3: (20, 34, 40)}[ndim], config)
    geometry = measure(config.model)
    each, before = bytes_per_pixel(config.model, geometry), 0
    for memory in (2**16, 2**20, 2**24, 2**34):
        planned, _ = _plan_patches(config, data, memory, MOST)
        patch = int(np.prod(patch_sizes(geometry, planned.patch, data.train)))
        assert planned.patch % max(geometry.step) == 0
        assert planned.batch >= 2
        assert planned.batch * patch * each <= memory or planned.patch == max(geometry.step)
        assert patch >= before
        before = patch
    assert planned.batch == MOST
    assert planned.patch >= max(data.train[0].weights.shape)


@pytest.mark.parametrize("architecture", ["unet", "unet2015", "attention"])
@pytest.mark.parametrize("size", [256, 512])
def test_bytes_per_pixel_tell_what_other_patches_take(architecture: str, size: int) -> None:
    config = ModelConfig(architecture=architecture, base=8, depth=3, classes=3)
    geometry = measure(config)
    shape = [geometry.legal(axis, size) for axis in (0, 1)]
    with torch.device("meta"):
        network = build(config)
    expected = bytes_to_learn(network, config, [4, *shape])
    found = bytes_per_pixel(config, geometry) * 4 * math.prod(shape)
    assert found == pytest.approx(expected, rel=0.25 if architecture != "unet2015" else 0.6)


def test_a_full_plan_is_kept_when_the_memory_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = robust(model={"base": 2}, epochs=2, steps_per_epoch=2, threads=1)
    pairs = [volume((48, 40), k) for k in range(3)]
    list(train(config, pairs, tmp_path / "whole"))
    stream = train(config, pairs, tmp_path / "parts")
    for event in stream:
        if isinstance(event, Stepped):
            break
    stream.close()
    planned = read_card(tmp_path / "parts").model
    assert (planned.depth, planned.base) == (3, 2)
    monkeypatch.setattr("napari_unet.training.plan.free_bytes", lambda _device: 1)
    list(train(config, pairs, tmp_path / "parts", resume=True))
    one, other = ((tmp_path / n / "weights.safetensors").read_bytes() for n in ("whole", "parts"))
    assert one == other


def test_a_volume_whose_axes_were_planned_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    config = TrainConfig.from_recipe("quick", **TINY, epochs=2, steps_per_epoch=2, patch=16)
    image, labels = volume((12, 34, 28))
    pairs = [(Picture(image, "ZYX", (4.0, 1.0, 1.0)), labels)]
    list(train(config, pairs, tmp_path / "whole"))
    assert read_card(tmp_path / "whole").model.flat == (1, 0, 0)
    stream = train(config, pairs, tmp_path / "parts")
    for event in stream:
        if isinstance(event, Stepped) and event.step == 3:
            break
    stream.close()
    list(train(config, pairs, tmp_path / "parts", resume=True))
    one, other = ((tmp_path / n / "weights.safetensors").read_bytes() for n in ("whole", "parts"))
    assert one == other
    flat = [(Picture(image, "ZYX"), labels)]  # of another voxel size another plan follows
    with pytest.raises(InputError, match=r"U154.*model"):
        list(train(config, flat, tmp_path / "parts", resume=True))


def test_the_settings_of_a_plan_give_the_same_plan_again(tmp_path: Path) -> None:
    config = robust(model={"base": 2, "ndim": 3}, epochs=0, threads=1)
    pairs = [volume((6, 40, 36), k) for k in range(3)]
    list(train(config, pairs, tmp_path / "m"))
    stored = TrainConfig.model_validate_json((tmp_path / "m/config.json").read_text())
    assert stored.normalisation in {"percentile", "zscore"}
    assert None not in {stored.patch, stored.batch}
    run, _ = prepare(stored, pairs, tmp_path / "again")
    assert run.config == stored
    assert read_card(tmp_path / "m").model == stored.model


def test_one_logit_is_refused_for_three_classes() -> None:
    image, labels = volume((40, 40))
    labels[:5] = 2
    config = robust(model={"classes": 1}, labels={"kind": "classes"})
    with pytest.raises(InputError, match="U151"):
        fit(config, load_data(config, [(image, labels)]), CPU)
