"""The other commands: what they print and write is what the Python functions return."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from napari_unet.arrays.files import open_picture
from napari_unet.cli.parser import make_parser
from napari_unet.config import ARCHITECTURES
from napari_unet.inference.model import open_model
from napari_unet.metrics.evaluate import evaluate
from napari_unet.targets.weights import weight_map

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Done

    Cli = Callable[..., Done]


@pytest.mark.parametrize(
    "command",
    ["", "demo", "architectures", "describe", "weights", "train", "predict", "evaluate", "models",
     "engine"],
)  # fmt: skip
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        make_parser().parse_args([word for word in (command, "--help") if word])
    assert left.value.code == 0
    assert "usage: napari-unet" in capsys.readouterr().out


def test_the_zoo_is_listed(cli: Cli) -> None:
    rows = json.loads(cli("architectures", "--json").out)
    assert [row["name"] for row in rows] == list(ARCHITECTURES)
    assert all(set(row) == {"name", "title", "paper", "ndim"} for row in rows)
    assert len(cli("architectures").out.splitlines()) == len(ARCHITECTURES)


def test_the_network_of_2015_is_described(cli: Cli) -> None:
    card = json.loads(cli("describe", "unet2015", "--json").out)
    assert card["parameters"] == 31_030_658
    assert card["geometry"]["lost"] == [92, 92]
    words = cli("describe", "unet2015").out
    assert "31,030,658 parameters" in words
    small = json.loads(cli("describe", "unet", "--base", 2, "--set", "depth=1", "--json").out)
    assert (small["config"]["base"], small["config"]["depth"]) == (2, 1)


def test_a_model_is_described_as_it_is(
    cli: Cli, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = json.loads(cli("describe", model, "--json").out)
    assert card["config"] == open_model(model).card.model.model_dump(mode="json")
    assert cli("describe", model, "--base", 4).err[:5] == "U151:"
    (tmp_path / "unet").mkdir()  # an architecture keeps its name wherever one stands
    monkeypatch.chdir(tmp_path)
    assert cli("describe", "unet", "--base", 2, "--json").code == 0
    assert cli("describe", "transformer").err[:5] == "U150:"


@pytest.mark.parametrize("shape", [(60,), (30, 40), (8, 20, 24)])
@pytest.mark.parametrize("suffix", ["npy", "tif"])
def test_weights_are_those_of_the_function(
    cli: Cli, tmp_path: Path, shape: tuple[int, ...], suffix: str
) -> None:
    labels = np.zeros(shape, np.uint16)
    labels[..., 3:9], labels[..., 12:18] = 1, 2
    np.save(tmp_path / "l.npy", labels)
    spacing = (2.0, 1.0, 0.5)[-len(shape) :]
    flags = ("--w0", 5, "--sigma", 3, "--where", "everywhere")
    out = tmp_path / f"w.{suffix}"
    spaced = ("--spacing", ",".join(map(str, spacing)))
    done = cli("weights", tmp_path / "l.npy", out, *flags, *spaced)
    assert done == (0, "", "")
    maps = weight_map(labels, 5, 3, "everywhere", spacing)
    found = np.asarray(open_picture(out, ndim=1).data)
    np.testing.assert_array_equal(found, np.stack([maps.classes, maps.border, maps.total]))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["none.npy", "w.npy"], "U126"),
        (["l.npy", "w.png"], "U150"),
        (["l.npy", "l.npy"], "U130"),
        (["l.npy", "l.npy/w.npy"], "U130"),
        (["l.npy", "w.npy", "--sigma", "0"], "U150"),
        (["l.npy", "w.npy", "--spacing", "1,1,1"], "U150"),
        (["l.npy", "w.npy", "--spacing", "wide"], "U170"),
        (["l.npy", "w.npy", "--where", "nowhere"], "U170"),
        (["f.npy", "w.npy"], "U110"),
    ],
)
def test_bad_words_for_weights_are_refused(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("l.npy", np.eye(8, dtype=np.uint8))
    np.save("f.npy", np.full((8, 8), 0.5))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = cli("weights", *words)
    assert (done.code, done.err[:5]) == (2, f"{code}:")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_prediction_is_that_of_the_model_and_is_evaluated(
    cli: Cli, files: Path, model: Path, tmp_path: Path
) -> None:
    words = ("predict", model, files / "i.tif")
    both = ("--outputs", "classes,probabilities", "--tile", 16)
    assert cli(*words, tmp_path / "o.zarr", *both) == (0, "", "")
    assert cli(*words, tmp_path / "o.tif") == (0, "", "")
    expected = open_model(model).predict(files / "i.tif", tile=16)
    group = zarr.open_group(tmp_path / "o.zarr", mode="r")
    np.testing.assert_array_equal(group["classes"][:], expected["classes"])
    np.testing.assert_array_equal(group["probabilities"][:], expected["probabilities"])
    written = open_picture(tmp_path / "o.tif", ndim=2, labels=True)
    assert (written.axes, written.spacing) == ("YX", (0.5, 0.5))
    truth = np.asarray(open_picture(files / "l.tif", ndim=2, labels=True).data)
    for kind in ("classes", "instances"):
        scores = evaluate(expected["classes"], truth, kind)
        for found in (tmp_path / "o.tif", tmp_path / "o.zarr/classes"):
            done = cli("evaluate", found, files / "l.tif", "--kind", kind, "--json")
            assert json.loads(done.out) == json.loads(json.dumps(scores))
    assert json.loads(cli("evaluate", files / "l.tif", files / "l.tif").out)["accuracy"] == 1


def test_signals_are_evaluated_too_and_shapes_are_compared(cli: Cli, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(9) % 3)
    np.save(tmp_path / "b.npy", np.arange(8) % 3)
    np.save(tmp_path / "c.npy", np.full(9, np.nan))
    a, b, c = (tmp_path / f"{name}.npy" for name in "abc")
    assert json.loads(cli("evaluate", a, a, "--json").out)["mean"]["dice"] == 1
    assert cli("evaluate", a, b).err[:5] == "U102:"
    assert json.loads(cli("evaluate", c, a, "--kind", "regression", "--json").out)["mse"] is None
    assert cli("evaluate", a, tmp_path / "none.npy").err[:5] == "U126:"
