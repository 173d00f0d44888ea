"""The other commands: what they print and write is what the Python functions return."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import pytest

from napari_unet.arrays.files import open_picture
from napari_unet.cli.parser import make_parser
from napari_unet.config import ARCHITECTURES
from napari_unet.inference.model import open_model
from napari_unet.models.device import list_devices
from napari_unet.targets.weights import weight_map

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Done

    Cli = Callable[..., Done]


@pytest.mark.parametrize(
    "command",
    ["", "demo", "architectures", "describe", "weights", "train", "predict", "evaluate", "compare",
     "models", "devices", "engine"],
)  # fmt: skip
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        make_parser().parse_args([word for word in (command, "--help") if word])
    assert left.value.code == 0
    assert "usage: napari-unet" in capsys.readouterr().out


def test_the_zoo_is_listed(cli: Cli) -> None:
    rows = json.loads(cli("architectures", "--json").out)
    assert [row["name"] for row in rows] == list(ARCHITECTURES)
    for row in rows:
        architecture = ARCHITECTURES[row["name"]]
        assert (row["title"], row["paper"]) == (architecture.title, architecture.paper)
        assert row["ndim"] == list(architecture.ndim)
        assert row["variants"] == list(architecture.variants)
        assert row["options"] == list(architecture.options)
    head, *lines = cli("architectures").out.splitlines()
    assert head.split() == ["name", "title", "variants", "options", "paper"]
    assert [line.split()[0] for line in lines] == list(ARCHITECTURES)


def test_devices_are_listed_and_tried_out(cli: Cli) -> None:
    rows = json.loads(cli("devices", "--json").out)
    assert [row["name"] for row in rows] == [device.name for device in list_devices()]
    assert rows[-1]["name"] == "cpu"
    assert rows[-1]["fault"] == ""
    head, *lines = cli("devices").out.splitlines()
    assert head.split()[:2] == ["name", "what"]
    assert lines[-1].split()[0] == "cpu"
    assert lines[-1].endswith("good")


def test_the_network_of_2015_is_described(cli: Cli) -> None:
    card = json.loads(cli("describe", "unet2015", "--json").out)
    assert card["parameters"] == 31_030_658
    assert card["geometry"]["lost"] == [92, 92]
    release = json.loads(cli("describe", "unet2015", "--variant", "release", "--json").out)
    assert release["config"]["variant"] == "release"
    small = json.loads(cli("describe", "unet", "--base", 2, "--set", "depth=1", "--json").out)
    assert (small["config"]["base"], small["config"]["depth"]) == (2, 1)


def test_a_description_in_words_has_a_line_for_each_layer(cli: Cli) -> None:
    words = ("describe", "unet2015")
    card = json.loads(cli(*words, "--json").out)
    head, *lines = cli(*words).out.splitlines()
    assert head.split() == ["layer", "kind", "kernel", "field", "output", "parameters"]
    assert [line.split()[0] for line in lines[:-3]] == [row["name"] for row in card["layers"]]
    told = "\n".join(lines[-3:])
    for words in ("31,030,658 parameters", "step 16x16, margin 96x96, lost 92x92", "to train"):
        assert words in told


def test_a_network_is_drawn(cli: Cli, tmp_path: Path) -> None:
    done = cli("describe", "unet", "--base", 2, "--svg", tmp_path / "u.svg", "--json")
    assert json.loads(done.out)["name"] == "unet"
    assert ElementTree.parse(tmp_path / "u.svg").getroot().tag.endswith("svg")
    (tmp_path / "file").write_text("")
    assert cli("describe", "unet", "--svg", tmp_path / "file/u.svg").err[:5] == "U130:"


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


def test_weights_of_another_formula_have_its_numbers(cli: Cli, tmp_path: Path) -> None:
    labels = np.zeros((40, 40), np.uint16)
    labels[:, 5:12], labels[:, 16:22] = 1, 2
    np.save(tmp_path / "l.npy", labels)
    for flags, w0, sigma in ((), 50, 6), (("--w0", 3, "--sigma", 2), 3, 2):
        out = tmp_path / f"{w0}.npy"
        words = ("weights", tmp_path / "l.npy", out, "--formula", "falk2019", *flags)
        assert cli(*words) == (0, "", "")
        maps = weight_map(labels, w0, sigma, formula="falk2019")
        np.testing.assert_array_equal(np.load(out)[2], maps.total)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["none.npy", "w.npy"], "U126"),
        (["l.npy", "w.npy", "--formula", "luck"], "U170"),
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
