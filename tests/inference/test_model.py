"""A model is opened as it was made, or not at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_unet.config import ARCHITECTURES, InputError, ModelFileError
from napari_unet.inference.model import open_model, probe_difference
from napari_unet.library.folders import (
    CARD,
    PROBE,
    WEIGHTS,
    read_card,
    read_tensors,
    to_tensors,
    write_model,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.inference.model import Model

    Models = Callable[..., Model]

FIRST = """
import sys
import numpy as np
import napari_unet
from napari_unet.config import TrainConfig

image = np.random.default_rng(0).normal(size=(24, 24)).astype("f4")
config = TrainConfig.from_recipe(
    "quick", labels={"kind": "classes"}, model={"architecture": "attention", "base": 2, "depth": 1},
    patch=16, batch=1, epochs=1, steps_per_epoch=1, threads=1,
)
for _ in napari_unet.train(config, [(image, np.uint8(image > 0))], sys.argv[1]):
    pass
napari_unet.open_model(sys.argv[1], device="cpu").predict(image)
assert "torch._dynamo" not in sys.modules
"""


@pytest.fixture
def folder(models: Models, tmp_path: Path) -> Path:
    """A copy of a model, to be harmed."""
    return shutil.copytree(models().folder, tmp_path / "m")


def rewrite(folder: Path, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change arrays of a model and make its checksums consistent again."""
    card = read_card(folder)
    files = {file: (folder / file).read_bytes() for file in card.files}
    files[name] = to_tensors(change(read_tensors(folder, name, card)))
    write_model(folder, card, files)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_probe_of_a_model_holds(models: Models, architecture: str, ndim: int) -> None:
    assert probe_difference(models(architecture, ndim)) < 1e-5


def test_opening_draws_nothing_from_the_random_state(models: Models) -> None:
    before = torch.random.get_rng_state()
    open_model(models().folder)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_first_result_does_not_wait_for_the_compiler_of_torch(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FIRST, tmp_path / "m"], check=True)


@pytest.mark.parametrize("array", ["image", "logits"])
def test_a_probe_that_gives_other_numbers_is_refused(folder: Path, array: str) -> None:
    rewrite(folder, PROBE, lambda arrays: {**arrays, array: arrays[array] + 0.5})
    with pytest.raises(ModelFileError, match=r"U144.*other numbers"):
        open_model(folder)


def test_a_probe_of_something_else_is_refused(folder: Path) -> None:
    for change in (
        lambda arrays: {"picture": arrays["image"], "logits": arrays["logits"]},
        lambda arrays: {"image": arrays["picture"]},
        lambda arrays: {"image": arrays["image"][0], "logits": arrays["image"]},
    ):
        rewrite(folder, PROBE, change)
        with pytest.raises(ModelFileError, match="U143"):
            open_model(folder)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda arrays: dict(list(arrays.items())[1:]), "U143"),
        (lambda arrays: {**arrays, "more": np.zeros(1, np.float32)}, "U143"),
        (lambda arrays: {k: a[..., None] for k, a in arrays.items()}, "U143"),
        (lambda arrays: {k: a.astype(np.float64) for k, a in arrays.items()}, "U143"),
        (
            lambda arrays: {
                k: np.full_like(a, np.nan) if a.dtype.kind == "f" else a for k, a in arrays.items()
            },
            "U144",
        ),
        (lambda arrays: {k: a * 2 for k, a in arrays.items()}, "U144"),
    ],
    ids=["missing", "too many", "shape", "dtype", "not finite", "altered"],
)
def test_parameters_of_another_network_are_refused(
    folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]], code: str
) -> None:
    rewrite(folder, WEIGHTS, change)
    with pytest.raises(ModelFileError, match=code):
        open_model(folder)


@pytest.mark.parametrize("name", [WEIGHTS, PROBE, CARD, "config.json", "history.csv", "METHODS.md"])
@pytest.mark.parametrize("harm", ["missing", "truncated", "altered"])
def test_an_altered_file_is_refused(folder: Path, name: str, harm: str) -> None:
    content = (folder / name).read_bytes()
    middle = len(content) // 2
    (folder / name).unlink()
    if harm == "truncated":
        (folder / name).write_bytes(content[:middle])
    elif harm == "altered":
        (folder / name).write_bytes(
            content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        )
    with pytest.raises(
        ModelFileError, match="U140" if (name, harm) == (CARD, "missing") else "U141"
    ):
        open_model(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("normalisation", "zscore"), ("name", "other"), ("spacing", [1.0, 1.0]), ("axes", "CXY")],
)
def test_an_altered_card_is_refused(folder: Path, key: str, value: Any) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, key: value}))
    with pytest.raises(ModelFileError, match="U141"):
        open_model(folder)


def test_a_card_of_a_huge_network_takes_no_memory(folder: Path) -> None:
    card = read_card(folder)
    huge = card.model_copy(
        update={"model": card.model.model_copy(update={"base": 1024, "depth": 8})}
    )
    write_model(folder, huge, {name: (folder / name).read_bytes() for name in card.files})
    with pytest.raises(ModelFileError, match="U143"):  # 2 billion parameters, 8 TB
        open_model(folder)


def test_a_newer_format_and_an_absent_device_are_told(folder: Path) -> None:
    with pytest.raises(InputError, match="U160"):
        open_model(folder, "abacus")
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "format": 99, "soul": True}))
    with pytest.raises(ModelFileError, match="U145"):
        open_model(folder)


def test_predict_of_a_model_gives_arrays(models: Models) -> None:
    image = np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)
    whole = models("attention").predict(image)
    assert set(whole) == {"probabilities", "classes"}
    assert whole["probabilities"].dtype == np.float32
    np.testing.assert_allclose(whole["probabilities"].sum(axis=0), 1, atol=1e-5)
    tiled = models("attention").predict(image, tile=8, outputs=("attention", "probabilities"))
    assert set(tiled) == {"probabilities", "attention/gate1"}
    np.testing.assert_allclose(tiled["probabilities"], whole["probabilities"], atol=1e-5)
