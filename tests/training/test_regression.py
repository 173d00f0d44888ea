"""Regression from end to end: an image as the target, in its own units."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unet.arrays.files import open_picture
from napari_unet.config import InputError, PredictConfig, TrainConfig
from napari_unet.events import Noted, Stepped, TileDone, Validated
from napari_unet.inference.model import open_model
from napari_unet.inference.predict import predict
from napari_unet.library.folders import read_card, read_tensors
from napari_unet.training.loop import train

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.inference.model import Model

SHAPES = {1: (400,), 2: (48, 40), 3: (12, 24, 20)}
PATCH = {1: 64, 2: 24, 3: 12}


def settings(ndim: int = 2, **changes: Any) -> TrainConfig:
    model = {"base": 4, "depth": 1, "ndim": ndim, "norm": "batch"}
    plain = {"patch": PATCH[ndim], "batch": 4, "steps_per_epoch": 6, "epochs": 3, "threads": 1}
    labels = {"kind": "regression"}
    return TrainConfig.from_recipe(
        "quick", **{"model": model, "labels": labels, **plain, **changes}
    )


def blurs(ndim: int = 2, count: int = 4, channels: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    """Noisy images; the target is 1000 + 50 times what they were without noise."""
    from scipy.ndimage import gaussian_filter

    pairs = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        clean = gaussian_filter(rng.normal(size=SHAPES[ndim]), 2.0)
        clean /= clean.std()
        noisy = clean + rng.normal(0, 0.3, clean.shape)
        target = np.stack([1000 + 50 * clean * (k + 1) for k in range(channels)], axis=0)
        pairs.append((noisy.astype(np.float32), target if channels > 1 else target[0]))
    return pairs


@pytest.fixture(scope="module", params=[1, 2, 3])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of each dimension that learned for a few epochs."""
    ndim = request.param
    folder = tmp_path_factory.mktemp("regression") / f"{ndim}"
    config = settings(ndim, epochs=12, optimiser={"rate": 1e-2})
    assert list(train(config, blurs(ndim), folder))
    return open_model(folder)


def test_it_learns_in_the_units_of_the_target(trained: Model) -> None:
    ndim = trained.card.model.ndim
    image, truth = blurs(ndim, count=9)[-1]
    found = trained.predict(image)
    assert set(found) == {"values"}
    assert (found["values"].shape, found["values"].dtype) == (truth.shape, np.float32)
    assert np.abs(found["values"] - truth).mean() < 0.7 * np.abs(truth - truth.mean()).mean()
    best = trained.card.training["best"]
    assert best["rmse"] == pytest.approx(best["mse"] ** 0.5, rel=1e-4)
    assert best["mae"] < 50


def test_tiled_is_whole(trained: Model) -> None:
    image, _ = blurs(trained.card.model.ndim)[0]
    whole, tiled = (trained.predict(image, tile=tile)["values"] for tile in (4096, 8))
    np.testing.assert_allclose(tiled, whole, rtol=1e-5)


def test_the_card_knows_the_scale_and_no_classes(trained: Model) -> None:
    card = trained.card
    assert (card.kind, card.classes, len(card.target)) == ("regression", (), 1)
    assert card.target[0].mean == pytest.approx(1000, abs=20)
    assert card.target[0].spread == pytest.approx(50, rel=0.2)
    text = (trained.folder / "METHODS.md").read_text()
    assert "mse" in text
    assert "Dice" not in text
    rows = list(csv.DictReader((trained.folder / "history.csv").read_text().splitlines()))
    assert {"mse", "rmse", "mae"} <= set(rows[0])
    assert "dice" not in rows[0]
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    assert card.training["best"]["mae"] == pytest.approx(float(best["mae"]), abs=1e-6)


def test_what_it_does_not_tell_is_refused(trained: Model, tmp_path: Path) -> None:
    image, _ = blurs(trained.card.model.ndim)[0]
    for output in ("classes", "probabilities"):
        config = PredictConfig(outputs=(output,))
        with pytest.raises(InputError, match=r"U151.*values"):
            list(predict(trained, image, tmp_path / "o.zarr", config))
    assert not list(tmp_path.iterdir())


def test_the_result_is_the_same_wherever_it_goes(trained: Model, tmp_path: Path) -> None:
    ndim = trained.card.model.ndim
    image, _ = blurs(ndim)[0]
    stack = np.stack([image, image[::-1]])
    memory: dict[str, Any] = {}
    for out in (memory, tmp_path / "o.zarr", tmp_path / "o.tif"):
        list(predict(trained, stack, out))
    assert memory["values"].shape == stack.shape
    np.testing.assert_array_equal(
        zarr.open_group(tmp_path / "o.zarr")["values"][:], memory["values"]
    )
    found = open_picture(tmp_path / "o.tif", ndim=ndim)
    np.testing.assert_array_equal(np.asarray(found.data), memory["values"])


def test_what_is_not_computed_yet_is_no_number(trained: Model, tmp_path: Path) -> None:
    ndim = trained.card.model.ndim
    image, _ = blurs(ndim)[0]
    stream = predict(trained, image, tmp_path / "o.zarr", PredictConfig(tile=8))
    next(event for event in stream if isinstance(event, TileDone))
    stream.close()  # the tile that was being written meanwhile is finished
    group = zarr.open_group(tmp_path / "o.zarr", mode="r")
    found, done = group["values"][:], group["ledger"][:] == 1
    assert 1 <= np.count_nonzero(done) < done.size
    for axis, n in enumerate(found.shape):
        done = done.repeat(8, axis).take(np.arange(n), axis)
    np.testing.assert_array_equal(np.isfinite(found), done)


def test_a_classifier_has_no_values(tmp_path: Path) -> None:
    image, target = blurs()[0]
    config = TrainConfig.from_recipe("quick", model={"base": 2, "depth": 1}, epochs=0, patch=16)
    list(train(config, [(image, (target > 1000).astype(np.uint8))], tmp_path / "m"))
    with pytest.raises(InputError, match=r"U151.*classes"):
        open_model(tmp_path / "m").predict(image, outputs=("values",))
    out: dict[str, Any] = {}
    list(predict(tmp_path / "m", image, out))
    assert set(out) == {"classes"}


def test_channels_come_back_first(tmp_path: Path) -> None:
    pairs = blurs(channels=2)
    list(train(settings(epochs=1), pairs, tmp_path / "m"))
    model = open_model(tmp_path / "m")
    assert model.card.model.classes == 2
    stack = np.stack([pairs[0][0]] * 3)
    assert model.predict(stack)["values"].shape == (2, 3, 48, 40)
    list(predict(model, stack, tmp_path / "o.tif"))
    assert open_picture(tmp_path / "o.tif", ndim=2).axes[0] == "C"


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path: Path, loss: str) -> None:
    config = settings(loss=loss, epochs=2, steps_per_epoch=3)
    list(train(config, blurs(), tmp_path / "whole"))
    stream = train(config, blurs(), tmp_path / "parts")
    for event in stream:
        if isinstance(event, Stepped) and event.step == 2:
            break
    stream.close()
    list(train(config, blurs(), tmp_path / "parts", resume=True))
    one, other = ((tmp_path / n / "weights.safetensors").read_bytes() for n in ("whole", "parts"))
    assert one == other


def test_pixels_that_are_not_known_do_not_matter(tmp_path: Path) -> None:
    folders = {}
    for name, stand_in in (("a", np.nan), ("b", np.inf)):
        pairs = [(image, target.copy()) for image, target in blurs()]
        for _, target in pairs:
            target[:10] = stand_in
        list(train(settings(epochs=1), pairs, tmp_path / name))
        folders[name] = (tmp_path / name / "weights.safetensors").read_bytes()
        assert np.isfinite(read_card(tmp_path / name).training["best"]["mae"])
    assert folders["a"] == folders["b"]


def test_fine_tuning_keeps_the_scale_of_the_parent(tmp_path: Path) -> None:
    list(train(settings(epochs=1), blurs(), tmp_path / "parent"))
    other = [(image, 3 * target) for image, target in blurs()]
    list(train(settings(epochs=0), other, tmp_path / "child", parent=tmp_path / "parent"))
    parent, child = (read_card(tmp_path / n) for n in ("parent", "child"))
    assert child.target == parent.target
    old, new = (
        read_tensors(tmp_path / n, "weights.safetensors", read_card(tmp_path / n))
        for n in ("parent", "child")
    )
    learned = [k for k in old if not k.endswith(("running_mean", "running_var", "tracked"))]
    assert all(np.array_equal(old[k], new[k]) for k in learned)


def test_a_classifier_can_become_a_regression_and_says_so(tmp_path: Path) -> None:
    pairs = blurs()
    classes = [(image, (target > 1000).astype(np.uint8)) for image, target in pairs]
    plain = settings().model_dump() | {"labels": {}, "loss": "cross_entropy_dice", "epochs": 1}
    list(train(TrainConfig.model_validate(plain), classes, tmp_path / "parent"))
    events = list(train(settings(epochs=1), pairs, tmp_path / "child", parent=tmp_path / "parent"))
    assert any("head was replaced" in e.text for e in events if isinstance(e, Noted))
    assert read_card(tmp_path / "child").model.classes == 1
    back = list(
        train(TrainConfig.model_validate(plain), classes, tmp_path / "back",
              parent=tmp_path / "child")
    )  # fmt: skip
    assert all("dice" in e.scores for e in back if isinstance(e, Validated))


def test_from_values_to_three_classes_the_head_is_replaced(tmp_path: Path) -> None:
    pairs = blurs()
    list(train(settings(epochs=0), pairs, tmp_path / "parent"))
    three = [(image, np.digitize(target, (970, 1030))) for image, target in pairs]
    config = TrainConfig.from_recipe("quick", labels={"kind": "classes"}, epochs=0, patch=24)
    list(train(config, three, tmp_path / "child", parent=tmp_path / "parent"))
    assert read_card(tmp_path / "child").model.classes == 3


def test_the_card_keeps_scores_in_small_units(tmp_path: Path) -> None:
    metres = [(image, target * 1e-9) for image, target in blurs()]
    list(train(settings(epochs=1), metres, tmp_path / "m"))
    best = read_card(tmp_path / "m").training["best"]
    assert 0 < best["mse"] < 1e-12
    assert best["rmse"] == pytest.approx(best["mse"] ** 0.5)


def test_validations_speak_of_errors_by_channel(tmp_path: Path) -> None:
    events = list(train(settings(epochs=2), blurs(channels=2), tmp_path / "m"))
    for event in (e for e in events if isinstance(e, Validated)):
        assert set(event.scores) == {"mse", "rmse", "mae"}
        assert set(event.classes) == {"value 0", "value 1"}
        means = [each["mae"] for each in event.classes.values()]
        assert event.scores["mae"] == pytest.approx(np.mean(means))
        assert means[1] > means[0]  # its target is twice as large
