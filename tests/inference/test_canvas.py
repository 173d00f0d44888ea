"""What stands in the arrays: each output is what the logits of the whole image say."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unet.arrays.axes import Picture
from napari_unet.arrays.labels import open_labels_array
from napari_unet.config import InstanceConfig, PredictConfig, TrainConfig
from napari_unet.events import Noted
from napari_unet.inference.canvas import Canvas, writing_bytes
from napari_unet.inference.instances import label_instances
from napari_unet.inference.model import open_model
from napari_unet.inference.outputs import Outputs
from napari_unet.inference.predict import predict
from napari_unet.inference.task import make_task
from napari_unet.inference.truth import Truth
from napari_unet.targets.ridge import carve_ridge
from napari_unet.training.loop import train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.inference.model import Model

    Models = Callable[..., Model]
    Images = Callable[..., np.ndarray[Any, Any]]

SHAPE = (45, 52)


def results(model: Model, image: Any, truth: Any = None, **settings: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    config = PredictConfig.model_validate({"threads": 1, "tile": 16, **settings})
    assert list(predict(model, image, out, config, truth=truth))
    return out


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory, picture: Images) -> Model:
    """An untrained model of two channels of values, far from 0 and 1."""
    folder = tmp_path_factory.mktemp("models") / "regression"
    target = np.stack([picture(40, 48), 3 * picture(40, 48, seed=1)])
    config = TrainConfig.from_recipe(
        "quick", epochs=0, threads=1, labels={"kind": "regression"}, patch=16, batch=1,
        model={"architecture": "unet", "ndim": 2, "base": 4, "depth": 2},
    )  # fmt: skip
    list(train(config, [(picture(40, 48), Picture(target, "CYX", None, "t"))], folder))
    return open_model(folder, "cpu")


def told_of(model: Model, image: Any, name: str) -> np.ndarray[Any, Any]:
    """What a model tells of an image in every orientation, put back: (passes, K, *S)."""
    told = []
    for back in np.ndindex((2,) * image.ndim):
        flips = tuple(axis for axis, turned in enumerate(back) if turned)
        for turns in (0, 1) if image.ndim > 1 else (0,):
            seen = np.flip(image, flips)
            seen = np.rot90(seen, turns, axes=(-2, -1)) if turns else seen
            p = results(model, np.ascontiguousarray(seen), tile=4096, outputs=[name])[name]
            p = np.rot90(p, -turns, axes=(-2, -1)) if turns else p
            told.append(np.flip(p, tuple(axis + 1 for axis in flips)))
    return np.stack(told)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_uncertainty_is_the_spread_over_what_the_image_may_look_like(
    models: Models, picture: Images, ndim: int
) -> None:
    image = picture(*{1: (90,), 2: (29, 38), 3: (9, 12, 10)}[ndim])
    told = told_of(models("unet", ndim), image, "probabilities")
    assert len(told) == {1: 2, 2: 8, 3: 16}[ndim]
    found = results(models("unet", ndim), image, outputs=["uncertainty"], tile=12)["uncertainty"]
    np.testing.assert_allclose(found, told.std(axis=0).max(axis=0), atol=1e-5)
    assert found.std() > 0


def test_pixels_that_are_not_square_are_not_turned(models: Models, picture: Images) -> None:
    model, image = models(), picture(*SHAPE)
    square, flat = (
        results(model, Picture(image, "YX", size, "i"), outputs=["uncertainty"])["uncertainty"]
        for size in ((1.0, 1.0), (2.0, 1.0))
    )
    assert np.abs(square - flat).max() > 1e-4


def test_uncertainty_of_values_is_in_their_units(regression: Model, picture: Images) -> None:
    told = told_of(regression, picture(*SHAPE), "values")
    assert told.std() > 10  # no probability
    found = results(regression, picture(*SHAPE), outputs=["uncertainty"])["uncertainty"]
    np.testing.assert_allclose(found, told.std(axis=0).max(axis=0), rtol=1e-4)


def test_the_loss_is_that_of_the_true_class(models: Models, picture: Images) -> None:
    values = (0, 3, 9)
    model, image = models(values=values), picture(2, *SHAPE)
    rng = np.random.default_rng(0)
    truth = rng.choice(np.asarray((*values, 5), np.uint8), image.shape)  # 5: unknown to the model
    found = results(model, image, truth, outputs=["loss", "probabilities"])
    for k, value in enumerate(values):
        expected = -np.log(found["probabilities"][k][truth == value])
        np.testing.assert_allclose(found["loss"][truth == value], expected, rtol=1e-4, atol=1e-5)
    assert np.isnan(found["loss"][truth == 5]).all()
    assert np.isfinite(found["loss"][truth != 5]).all()


def test_the_loss_of_objects_knows_the_ridge_across_tiles(tmp_path: Path, picture: Images) -> None:
    labels = np.kron(np.arange(1, 13).reshape(3, 4), np.ones((15, 13), int)).astype(np.uint16)
    labels[:4] = 0
    image = picture(*labels.shape)
    config = TrainConfig.from_recipe(
        "quick", epochs=0, threads=1, patch=16, batch=1,
        labels={"kind": "instances", "ignore": 12}, model={"classes": 1, "base": 4, "depth": 2},
    )  # fmt: skip
    list(train(config, [(image, labels)], tmp_path / "m"))
    found = results(
        open_model(tmp_path / "m", "cpu"), image, labels, outputs=["loss", "probabilities"]
    )
    objects = np.where(labels == 12, 0, open_labels_array(labels))
    inside = carve_ridge(objects) > 0
    assert (inside != (objects > 0)).sum() > 100
    chosen = np.where(inside, found["probabilities"][1], found["probabilities"][0])
    known = labels != 12
    np.testing.assert_allclose(found["loss"][known], -np.log(chosen[known]), rtol=1e-4, atol=1e-5)
    assert np.isnan(found["loss"][~known]).all()


def test_the_loss_of_values_is_their_squared_error(regression: Model, picture: Images) -> None:
    image = picture(*SHAPE)
    truth = np.stack([picture(*SHAPE, seed=2), picture(*SHAPE, seed=3)])
    truth[:, 3, 4] = np.nan
    found = results(regression, image, Picture(truth, "CYX", None, "t"), outputs=["loss", "values"])
    expected = ((found["values"] - truth) ** 2).mean(axis=0)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)
    assert np.isnan(found["loss"][3, 4])
    assert np.isnan(found["loss"]).sum() == 1


@pytest.mark.parametrize("place", ["memory", "o.zarr", "o.tif"])
def test_instances_are_the_objects_of_all_classes(
    models: Models, picture: Images, tmp_path: Path, place: str
) -> None:
    model, image = models(values=(1, 7, 200)), picture(2, *SHAPE)
    settings = {"instances": {"split": False, "smallest_px": 3}}
    classes = results(model, image)["classes"]
    if place == "memory":
        found = results(model, image, outputs=["instances"], **settings)
        assert set(found) == {"instances"}  # classes were made on the way, and removed
        instances = found["instances"]
    else:
        config = PredictConfig(outputs=("instances",), threads=1, tile=16, **settings)
        events = list(predict(model, image, tmp_path / place, config))
        assert any("finding objects" in e.text for e in events if isinstance(e, Noted))
        if place == "o.tif":
            return
        group = zarr.open_group(tmp_path / place, mode="r")
        assert set(group) == {"instances"}
        instances = group["instances"][:]
    assert instances.dtype == np.uint32
    for plane, numbers in zip(classes, instances, strict=True):
        expected = np.zeros(SHAPE, np.uint32)
        config = InstanceConfig(**settings["instances"])
        list(
            label_instances(
                plane, expected, config, block=SHAPE, memory_bytes=2**26, values=(7, 200)
            )
        )
        np.testing.assert_array_equal(numbers, expected)
        assert numbers.max() > 3


def test_dropout_gives_another_answer_each_time_but_the_same_one_again(
    tmp_path: Path, picture: Images
) -> None:
    image = picture(*SHAPE)
    config = TrainConfig.from_recipe(
        "quick", epochs=0, threads=1, patch=16, batch=1, labels={"kind": "classes"},
        model={"architecture": "unet", "base": 4, "depth": 2, "dropout": 0.5},
    )  # fmt: skip
    list(train(config, [(image, (image > 100).astype(np.uint8))], tmp_path / "m"))
    model = open_model(tmp_path / "m", "cpu")
    settings = {"outputs": ["uncertainty", "probabilities"], "passes": "dropout"}
    first, again, other = (
        results(model, image, **settings, seed=seed, dropout_passes=4) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first["uncertainty"], again["uncertainty"])
    assert np.abs(first["uncertainty"] - other["uncertainty"]).max() > 1e-4
    assert (first["uncertainty"] > 0).mean() > 0.9
    np.testing.assert_array_equal(first["probabilities"], other["probabilities"])


class Nowhere:
    """An array that keeps nothing."""

    def __setitem__(self, _window: Any, _block: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("outputs", "values", "outline"),
    [
        (("classes",), (0, 1), None),
        (("classes", "probabilities"), (0, 1), None),
        (("classes", "probabilities"), (0, 1, 2, 3), None),
        (("classes", "probabilities"), (0, 1), ((0, 0), (400, 0), (0, 400))),
        (("loss",), (0, 1), None),
        (("uncertainty",), (0, 1), None),
    ],
    ids=str,
)
def test_writing_takes_no_more_memory_than_is_planned(
    models: Models, outputs: tuple[str, ...], values: tuple[int, ...], outline: Any
) -> None:
    model, edge = models(values=values), 512
    image = Picture(np.zeros((edge, edge), np.uint8), "YX", None, "i")
    config = PredictConfig(outputs=outputs, outline=outline, tile=edge)
    task = make_task(model, image, config)
    truth = Truth(np.zeros((edge, edge), np.uint8), model, image) if "loss" in outputs else None
    canvas = Canvas(task, Outputs({}, outputs), truth)
    canvas.arrays = dict.fromkeys(outputs, Nowhere())
    rng, channels = np.random.default_rng(0), model.card.model.classes
    maps = [{"logits": rng.random((channels, edge, edge), np.float32)}] * 8
    tracemalloc.start()
    try:
        canvas.write((), task.grid.region.space, maps)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    planned = writing_bytes(outputs, channels, outlined=outline is not None)
    assert 0.4 * planned < peak / edge**2 < 1.01 * planned
