"""A validation says what an evaluation of the predictions would say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_unet.config import TrainConfig
from napari_unet.inference.model import open_model
from napari_unet.metrics.evaluate import evaluate
from napari_unet.training.loop import prepare, train
from napari_unet.training.validation import Score, settle, validate

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.training.run import Run


def settings(**changes: Any) -> TrainConfig:
    small = {
        "model": {"base": 2, "depth": 1, "norm": "batch"}, "patch": 16, "batch": 2,
        "steps_per_epoch": 4, "epochs": 2, "threads": 1, "validation": 0,
    }  # fmt: skip
    return TrainConfig.from_recipe("quick", **{**small, **changes})


def images(count: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(100, 20, (40, 36)).astype(np.float32) for _ in range(count)]


def trained(config: TrainConfig, pairs: list[Any], folder: Path) -> tuple[Any, Run]:
    """A trained model, and a run over the same data with its network."""
    list(train(config, pairs, folder))
    model = open_model(folder)
    run, _ = prepare(config, pairs, folder.with_name("other"))
    run.network.load_state_dict(model.network.state_dict())
    return model, run


def test_of_values_it_speaks_in_the_units_of_the_target(tmp_path: Path) -> None:
    pairs = []
    for image in images():
        target = 5 * image + 300
        target[:7] = np.nan
        pairs.append((image, target))
    config = settings(labels={"kind": "regression"})
    model, run = trained(config, pairs, tmp_path / "m")
    score = validate(run.network, run.data, run.geometry, run.loss)
    found = np.stack([model.predict(image)["values"] for image, _ in pairs])
    expected = evaluate(found, np.stack([target for _, target in pairs]), "regression")
    for name in ("mse", "rmse", "mae"):
        assert score.means[name] == pytest.approx(expected[name], rel=1e-4)
    assert score.classes == {"value": pytest.approx(score.means)}
    assert score.selector == -score.loss
    spread = run.data.target[0].spread
    assert score.loss == pytest.approx(score.means["mse"] / spread**2, rel=1e-4)


@pytest.mark.parametrize("logits", [1, 2])
def test_of_classes_it_counts_the_pixels_of_all_images(tmp_path: Path, logits: int) -> None:
    pairs = []
    for image in images():
        labels = (image > 100).astype(np.uint8)
        labels[:7] = 9
        pairs.append((image, labels))
    model = {"base": 2, "depth": 1, "norm": "batch", "classes": logits}
    config = settings(labels={"kind": "classes", "ignore": 9}, model=model)
    made, run = trained(config, pairs, tmp_path / "m")
    score = validate(run.network, run.data, run.geometry, run.loss)
    found = np.stack([made.predict(image)["classes"] for image, _ in pairs])
    expected = evaluate(found, np.stack([labels for _, labels in pairs]), "classes", 9)
    for name, value in score.classes["class 1"].items():
        assert value == pytest.approx(expected["classes"]["1"][name])
    assert score.selector == score.means["dice"]


def test_without_any_foreground_the_loss_decides() -> None:
    assert Score(2.0, {"dice": np.nan}, {}).selector == -2
    assert Score(2.0, {"mae": 1.0}, {}).selector == -2
    assert Score(2.0, {"dice": 0.25}, {}).selector == 0.25


def test_settling_gives_the_mean_over_patches_and_depends_on_the_seed_alone(tmp_path: Path) -> None:
    pairs = [(image, (image > 100).astype(np.uint8)) for image in images()]
    run, _ = prepare(settings(), pairs, tmp_path / "m")
    kept = []
    for state in (0, 1):
        torch.manual_seed(state)
        settle(run.network, run.sampler, run.batch, (3, 4), run.device)
        kept.append({k: v.clone() for k, v in run.network.state_dict().items()})
    assert all(torch.equal(value, kept[1][name]) for name, value in kept[0].items())
    first = next(k for k in kept[0] if k.endswith("running_var"))
    assert not torch.equal(kept[0][first], torch.ones_like(kept[0][first]))
