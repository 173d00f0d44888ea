"""`napari-unet predict`: flags become settings, and the result is that of the model."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unet.arrays.files import open_picture
from napari_unet.arrays.units import UNIT
from napari_unet.arrays.writing import write_tiff
from napari_unet.cli import following
from napari_unet.cli.parser import make_parser
from napari_unet.cli.predicting import predict_config, read_region, resolve_region
from napari_unet.config import InputError, PredictConfig
from napari_unet.inference.model import open_model
from napari_unet.inference.plan import plan_prediction
from napari_unet.library.folders import read_card
from tests.cli.conftest import TINY, everything

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.cli.conftest import Done

    Cli = Callable[..., Done]

RNG = np.random.default_rng(1)
BOTH = ("--outputs", "classes,probabilities")


def config_of(*flags: Any) -> PredictConfig:
    words = ["predict", "m", "i.tif", "o.zarr", *map(str, flags)]
    return predict_config(make_parser().parse_args(words))


def arrays(result: Path) -> dict[str, np.ndarray]:
    """Read the outputs of a zarr result."""
    group = zarr.open_group(result, mode="r")
    return {name: group[name][:] for name in ("classes", "probabilities")}


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Three planes of 40 x 56 pixels."""
    write_tiff(tmp_path / "stack.tif", RNG.normal(9, 2, (3, 40, 56)).astype(np.float32), "TYX")
    return tmp_path / "stack.tif"


def test_flags_become_settings(tmp_path: Path) -> None:
    assert config_of() == PredictConfig()
    found = config_of(
        *("--outputs", "classes,instances", "--tile", "rows", "--memory", "1.5"),
        *("--precision", "float32", "--backend", "torch", "--device", "cpu", "--threads", "2"),
        *("--set", "instances.split=false", "--set", "passes=dropout"),
    )
    assert found == PredictConfig.model_validate(
        {
            "outputs": ("classes", "instances"), "tile": "rows", "memory_gib": 1.5,
            "precision": "float32", "backend": "torch", "device": "cpu", "threads": 2,
            "instances": {"split": False}, "passes": "dropout",
        }
    )  # fmt: skip
    file = tmp_path / "c.json"
    file.write_text(found.model_dump_json())
    assert config_of("--config", file) == found
    above = config_of("--config", file, "--tile", 64, "--threads", 1, "--set", "threads=3")
    assert above == found.model_copy(update={"tile": 64, "threads": 3})


@pytest.mark.parametrize(
    ("text", "region"),
    [
        (":,:,:", ((0, 3), (0, 40), (0, 56))),
        ("0:1,8:40,:50", ((0, 1), (8, 40), (0, 50))),
        ("2,39:,:", ((2, 3), (39, 40), (0, 56))),
    ],
)
def test_a_region_has_open_ends(text: str, region: tuple[tuple[int, int], ...]) -> None:
    assert resolve_region(read_region(text), "TYX", (3, 40, 56), "i.tif") == region


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (":,:", r"2 axes, and i.tif with TYX \(3, 40, 56\)"),
        ("0:4,:,:", "0:4 along T of i.tif, which has 3 pixels"),
        (":,5:5,:", "5:5 along Y"),
        (":,:,-3:", "-3:56 along X"),
    ],
)
def test_a_region_beyond_the_image_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=f"U150: .*{told}"):
        resolve_region(read_region(text), "TYX", (3, 40, 56), "i.tif")


def test_a_prediction_is_that_of_the_model(
    cli: Cli, files: Path, model: Path, tmp_path: Path
) -> None:
    words = ("predict", model, files / "i.tif")
    for done in (
        cli(*words, tmp_path / "o.zarr", *BOTH, "--tile", 16),
        cli(*words, tmp_path / "o.tif"),
    ):
        assert (done.code, done.out) == (0, "")
        assert done.err.splitlines()[-1].startswith(f"{files / 'i.tif'}: ")
    expected = open_model(model).predict(files / "i.tif", tile=16)
    found = arrays(tmp_path / "o.zarr")
    np.testing.assert_array_equal(found["classes"], expected["classes"])
    np.testing.assert_array_equal(found["probabilities"], expected["probabilities"])
    written = open_picture(tmp_path / "o.tif", ndim=2, labels=True)
    assert (written.axes, written.spacing) == ("YX", (0.5, 0.5))
    np.testing.assert_array_equal(np.asarray(written.data), expected["classes"])


def test_a_region_is_cut_from_the_whole(cli: Cli, model: Path, stack: Path, tmp_path: Path) -> None:
    words = ("predict", model, stack)
    assert cli(*words, tmp_path / "all.zarr", *BOTH).code == 0
    assert cli(*words, tmp_path / "part.zarr", *BOTH, "--region", "1:,7:33,:50").code == 0
    whole, part = (arrays(tmp_path / f"{name}.zarr")["probabilities"] for name in ("all", "part"))
    np.testing.assert_allclose(part, whole[:, 1:, 7:33, :50], atol=1e-5)
    (tmp_path / "c.json").write_text('{"region": [[1, 3], [7, 33], [0, 50]]}')
    assert cli(*words, tmp_path / "file.zarr", *BOTH, "--config", tmp_path / "c.json").code == 0
    np.testing.assert_array_equal(arrays(tmp_path / "file.zarr")["probabilities"], part)


def test_axes_are_taken_as_they_are_named(cli: Cli, model: Path, tmp_path: Path) -> None:
    image = RNG.normal(9, 2, (24, 40)).astype(np.float32)
    np.save(tmp_path / "i.npy", image)
    np.save(tmp_path / "turned.npy", image.T)
    assert cli("predict", model, tmp_path / "i.npy", tmp_path / "i.zarr", *BOTH).code == 0
    words = ("predict", model, tmp_path / "turned.npy", tmp_path / "turned.zarr", *BOTH)
    assert cli(*words, "--axes", "XY").code == 0
    for name, array in arrays(tmp_path / "i.zarr").items():
        np.testing.assert_array_equal(arrays(tmp_path / "turned.zarr")[name], array)


def test_a_level_of_a_pyramid_is_an_image_of_its_own(cli: Cli, model: Path, tmp_path: Path) -> None:
    image = RNG.normal(9, 2, (48, 64)).astype(np.float32)
    datasets = []
    axes = [{"name": name, "type": "space"} for name in "yx"]
    group = zarr.create_group(store=tmp_path / "i.ome.zarr", zarr_format=3)
    for level in range(2):
        scale = {"type": "scale", "scale": [2**level, 2**level]}
        group.create_array(str(level), data=image[:: 2**level, :: 2**level])
        datasets.append({"path": str(level), "coordinateTransformations": [scale]})
    scales = [{"axes": axes, "datasets": datasets}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": scales}
    np.save(tmp_path / "half.npy", image[::2, ::2])
    words = ("predict", model, tmp_path / "i.ome.zarr")
    assert cli(*words, tmp_path / "level.zarr", *BOTH, "--level", 1).code == 0
    half = ("predict", model, tmp_path / "half.npy", tmp_path / "half.zarr", *BOTH)
    assert cli(*half).code == 0
    for name, array in arrays(tmp_path / "half.zarr").items():
        np.testing.assert_array_equal(arrays(tmp_path / "level.zarr")[name], array)
    assert cli(*words, tmp_path / "none.zarr", "--level", 2).err.startswith("U150:")


def test_labels_give_the_loss(cli: Cli, files: Path, model: Path, tmp_path: Path) -> None:
    words = ("predict", model, files / "i.tif", tmp_path / "o.zarr")
    outputs = ("--outputs", "probabilities,loss", "--labels", files / "l.tif")
    done = cli(*words, *outputs)
    assert done.code == 0, done.err
    group = zarr.open_group(tmp_path / "o.zarr", mode="r")
    loss, probabilities = group["loss"][:], group["probabilities"][:]
    labels = np.asarray(open_picture(files / "l.tif", ndim=2, labels=True).data)
    sure = labels == 0  # of objects, the ridge between those that touch is background, too
    np.testing.assert_allclose(loss[sure], -np.log(probabilities[0][sure]), rtol=1e-4, atol=1e-6)


def test_a_plan_is_told_and_nothing_is_computed(
    cli: Cli, files: Path, model: Path, tmp_path: Path
) -> None:
    words = ("predict", model, files / "i.tif", tmp_path / "o.tif", "--tile", 16, "--plan")
    opened = open_model(model)
    picture = open_picture(files / "i.tif", ndim=2)
    plan = plan_prediction(opened, picture, PredictConfig(tile=16))
    done = cli(*words)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{files / 'i.tif'}: {plan.tiles} ")
    (row,) = json.loads(cli(*words, "--json").out)
    assert (row["plan"]["way"], row["plan"]["tile"]) == (plan.way, list(plan.tile))
    assert row["words"] in done.out
    assert not everything(tmp_path)


def press_ctrl_c(monkeypatch: pytest.MonkeyPatch, after: int, times: int = 1) -> None:
    """Press Ctrl-C as soon as so many tiles were told."""
    told: list[str] = []

    def press(_self: object, words: str) -> None:
        told.append(words)
        if len(told) == after:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(following._Words, "_now_and_then", press)


def command_told(err: str) -> Sequence[str]:
    """Return the words of the command that goes on with what was stopped."""
    (line,) = (line for line in err.splitlines() if line.startswith("to go on: "))
    program, *words = shlex.split(line.removeprefix("to go on: "))
    assert program == "napari-unet"
    return words


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("name", "times"), [("o.zarr", 1), ("o.tif", 1), ("o.zarr", 2)])
def test_what_was_stopped_goes_on(
    cli: Cli, files: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str,
    times: int,
) -> None:  # fmt: skip
    words = ("predict", model, files / "i.tif", tmp_path / name, "--tile", 16, "--json")
    with monkeypatch.context() as hands:
        press_ctrl_c(hands, 3, times)
        stopped = cli(*words)
    assert stopped.code == 130
    assert ("stopped: what was done is kept" in stopped.err) == (times == 1)
    (row,) = json.loads(stopped.out)
    assert row["state"] == "begun"
    assert not Path(tmp_path / "o.tif").exists()
    done = cli(*command_told(stopped.err))
    assert done.code == 0, done.err
    (row,) = json.loads(done.out)
    assert (row["state"], row["tiles"]) == ("done", 12)
    assert 0 < row["computed"] <= 9
    again = cli(*command_told(stopped.err))
    assert json.loads(again.out)[0]["computed"] == 0
    expected = open_model(model).predict(files / "i.tif", tile=16)["classes"]
    place = tmp_path / name / "classes" if name.endswith(".zarr") else tmp_path / name
    found = np.asarray(open_picture(place, ndim=2, labels=True).data)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_stopped_batch_says_which_are_done(
    cli: Cli, files: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("predict", model, files / "i.tif", files / "l.tif", tmp_path / "out")
    with monkeypatch.context() as hands:
        press_ctrl_c(hands, after=15)  # the first has 12 tiles
        stopped = cli(*words, "--tile", 16)
    assert stopped.code == 130
    assert f"1 of 2 images are done, {files / 'l.tif'} in part" in stopped.err
    done = cli(*command_told(stopped.err), "--json")
    first, second = json.loads(done.out)
    assert first["computed"] == 0 < second["computed"] <= 9


@pytest.mark.skipif(not importlib.util.find_spec("distributed"), reason="extra distributed")
def test_workers_write_the_same_bytes(cli: Cli, files: Path, model: Path, tmp_path: Path) -> None:
    words = ("predict", model, files / "i.tif")
    flags = (*BOTH, "--tile", 16, "--region", "8:,:")
    assert cli(*words, tmp_path / "serial" / "o.zarr", *flags).code == 0
    done = cli(*words, tmp_path / "shared" / "o.zarr", *flags, "--workers", 1)
    assert done.code == 0, done.err
    for name in ("classes", "probabilities"):
        one, other = (tmp_path / place / "o.zarr" / name for place in ("serial", "shared"))
        assert everything(one) == everything(other)


def test_another_size_of_pixels_is_told_and_dealt_with(cli: Cli, files: Path, tmp_path: Path):
    image = open_picture(files / "i.tif", ndim=2).data[:]
    for name, size in (("trained", 0.5), ("coarse", 1.0)):
        write_tiff(tmp_path / f"{name}.ome.tif", image, "YX", (size, size), UNIT)
    words = ("--image", tmp_path / "trained.ome.tif", "--labels", files / "l.tif", "--epochs", 0)
    assert cli("train", *words, "--out", tmp_path / "m", *TINY).code == 0
    apply = ("predict", tmp_path / "m", tmp_path / "coarse.ome.tif")
    done = cli(*apply, tmp_path / "a.ome.tif")
    assert "resampled from 1 to 0.5 µm" in done.err
    result = open_picture(tmp_path / "a.ome.tif", ndim=2)
    assert (result.data.shape, result.spacing) == (image.shape, (1.0, 1.0))
    done = cli(*apply, tmp_path / "b.ome.tif", "--set", "resample=false")
    assert "not resampled from 1 to 0.5 µm: resample is off" in done.err
    words = (*words, "--set", "spacing=[1,2]", "--out", tmp_path / "n")
    assert cli("train", *words, *TINY).code == 0
    assert read_card(tmp_path / "n").spacing == (1.0, 2.0)
