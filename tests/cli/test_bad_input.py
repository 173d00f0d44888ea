"""Bad input gets one line with a code and the remedy, exit status 2, and nothing is written."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unet.arrays.files import open_picture
from napari_unet.arrays.writing import write_tiff
from napari_unet.library.folders import read_card
from tests.cli.conftest import TINY, everything

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Done

    Cli = Callable[..., Done]
    Words = Callable[[Path], list[Any]]

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(100, 20, (32, 24)).astype(np.float32)
LABELS = (RNG.random((32, 24)) > 0.5).astype(np.uint8)
FULL = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from napari_unet.cli import main
print(*[main([str(word) for word in line]) for line in json.loads(sys.argv[1])])
"""


def refused(done: Done, code: str, words: str = "") -> None:
    """One line on stderr: the code, what, the remedy; nothing on stdout."""
    assert done.code == 2, done.err
    assert done.out == ""
    (line,) = done.err.strip().splitlines()
    assert re.match(rf"{code}: .+: .+", line)
    assert words in line
    assert "Traceback" not in line


def train(folder: Path, image: Any = IMAGE, labels: Any = LABELS, *more: Any) -> list[Any]:
    """Write image and labels, and return the words that train on them."""
    for name, array in (("i", image), ("l", labels)):
        np.save(folder / f"{name}.npy", array)
    pair = ["--image", folder / "i.npy", "--labels", folder / "l.npy"]
    return ["train", *pair, "--out", folder / "m", *TINY, "--epochs", 1, *more]


def given(*more: Any, image: Any = IMAGE, labels: Any = LABELS) -> Words:
    return lambda folder: train(folder, image, labels, *more)


def files_are(*names: str) -> Words:
    """Name files instead: image and labels; "text.tif" is no image, "empty" an empty folder."""

    def make(folder: Path) -> list[Any]:
        (folder / "text.tif").write_text("no image")
        (folder / "empty").mkdir()
        flags = [w for pair in zip(("--image", "--labels"), names, strict=False) for w in pair]
        return ["train", *(folder / w if w in names else w for w in flags), "--out", folder / "m"]

    return make


def config_is(text: str) -> Words:
    """Name a config file that holds `text`."""

    def make(folder: Path) -> list[Any]:
        (folder / "c.json").write_text(text)
        return train(folder, IMAGE, LABELS, "--config", folder / "c.json")

    return make


def below_a_file(folder: Path) -> list[Any]:
    (folder / "file").write_text("x")
    return [folder / "file" / "m" if word == folder / "m" else word for word in train(folder)]


COLOURS = np.stack([LABELS] * 3, axis=-1)
NUMBERS = np.arange(LABELS.size).reshape(LABELS.shape)
TRAININGS: dict[str, tuple[Words, str, str]] = {
    "no image and no labels": (files_are(), "U101", "0 images and 0 labels"),
    "no labels": (files_are("text.tif"), "U101", "1 images and 0 labels"),
    "no such file": (files_are("none.tif", "none.tif"), "U126", "none.tif"),
    "an empty folder": (files_are("empty", "empty"), "U101", "empty"),
    "no image inside": (files_are("text.tif", "text.tif"), "U124", "text.tif"),
    "no --out": (lambda f: [w for w in train(f) if w not in ("--out", f / "m")], "U170", "--out"),
    "shapes differ": (given(image=IMAGE[:-1]), "U102", "32x24 (l.npy) do not match image 31x24"),
    "transposed": (given(image=IMAGE.T), "U102", "transpose"),
    "Y and X of a stack swapped": (
        given(image=np.stack([IMAGE] * 5), labels=np.stack([LABELS.T] * 5)), "U102", "transpose"
    ),
    "labels empty": (given(labels=0 * LABELS), "U10[56]", ""),
    "labels unlabelled": (given("--zero", "unlabelled", labels=0 * LABELS), "U105", ""),
    "labels of one class": (given("--kind", "classes", labels=0 * LABELS + 1), "U106", ""),
    "labels are fractions": (given(labels=LABELS * 0.5), "U110", "0.5"),
    "labels are negative": (given(labels=LABELS.astype(np.int8) - 2), "U109", "-2"),
    "labels of many classes": (given("--kind", "classes", labels=NUMBERS), "U111", "instances"),
    "labels in colour": (given(labels=COLOURS), "U1(02|13)", ""),
    "no number is finite": (given(image=IMAGE * np.nan), "U114", ""),
    "no pixel": (given(image=IMAGE[:0], labels=LABELS[:0]), "U112", ""),
    "one pixel": (given(image=IMAGE[:1, :1], labels=LABELS[:1, :1]), "U10[56]", ""),
    "complex numbers": (given(image=IMAGE.astype(complex)), "U116", "complex"),
    "unknown architecture": (given("--architecture", "transformer"), "U150", "unet2015"),
    "unknown recipe": (given("--recipe", "grandmother"), "U150", "quick"),
    "unknown loss": (given("--set", "loss=luck"), "U150", "dice"),
    "unknown setting": (given("--set", "model.bass=2"), "U150", "model.bass"),
    "setting out of range": (given("--set", "model.depth=99"), "U150", "model.depth = 99"),
    "a word for a number": (given("--set", "batch=many"), "U150", "batch"),
    "a word for a group": (given("--set", "model=unet"), "U150", "model"),
    "a word for the labels": (given("--set", "labels=regression"), "U150", "labels"),
    "no value": (given("--set", "batch"), "U170", "KEY=VALUE"),
    "two budgets": (given("--minutes", 1), "U152", ""),
    "negative budget": (lambda f: [*train(f)[:-2], "--minutes", "-1"], "U150", "minutes"),
    "contradiction": (given("--set", "loss=bce"), "U151", "bce"),
    "two sources of settings": (given("--recipe", "quick", "--config", "c"), "U151", ""),
    "no such config": (given("--config", "none.json"), "U126", "none.json"),
    "a config that is no JSON": (config_is("{"), "U126", "c.json"),
    "a config without settings": (config_is("[]"), "U150", "c.json"),
    "a config of something else": (config_is('{"wheels": 4}'), "U150", "wheels"),
    "no parent": (given("--from", "nothing"), "U140", "nothing"),
    "no device": (given("--set", "device=abacus"), "U160", "cpu"),
    "no place": (below_a_file, "U130", ""),
    "unknown flag": (given("--magic"), "U170", "--magic"),
    "unknown command": (lambda _: ["tarin"], "U170", "train"),
    "no command": (lambda _: [], "U170", "COMMAND"),
}  # fmt: skip


@pytest.mark.parametrize("case", TRAININGS)
def test_training_is_refused(cli: Cli, tmp_path: Path, case: str) -> None:
    make, code, words = TRAININGS[case]
    line = make(tmp_path)
    before = everything(tmp_path)
    refused(cli(*line), code, words)
    assert everything(tmp_path) == before


def test_training_over_a_model_is_refused(cli: Cli, model: Path, tmp_path: Path) -> None:
    before = everything(model)
    refused(cli(*[model if w == tmp_path / "m" else w for w in train(tmp_path)]), "U131")
    assert everything(model) == before


GOOD: dict[str, Words] = {
    "labels 0 and 255": given(labels=LABELS * 255),
    "whole floats": given(labels=LABELS.astype(np.float64)),
    "some pixels are not finite": given(image=np.where(IMAGE > 120, np.nan, IMAGE)),
    "float64": given(image=IMAGE.astype(np.float64)),
    "uint32": given(image=IMAGE.astype(np.uint32)),
    "bool": given(image=IMAGE > 100, labels=LABELS > 0),
    "big-endian": given(image=IMAGE.astype(">f4"), labels=LABELS.astype(">i4")),
    "too deep for the image": given(
        "--set", "model.depth=5", image=IMAGE[:9, :7], labels=LABELS[:9, :7]
    ),
    "too deep for valid convolutions": given(
        *("--architecture", "unet2015", "--set", "model.norm=batch"),
        image=IMAGE[:9, :7], labels=LABELS[:9, :7],
    ),
    "a line of pixels": given("--kind", "classes", image=IMAGE[:1], labels=LABELS[:1]),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_what_can_be_repaired_is_trained_and_predicted(cli: Cli, tmp_path: Path, case: str) -> None:
    done = cli(*GOOD[case](tmp_path))
    assert done.code == 0, done.err
    done = cli("predict", tmp_path / "m", tmp_path / "i.npy", tmp_path / "o.tif")
    assert done.code == 0, done.err
    found = np.asarray(open_picture(tmp_path / "o.tif", ndim=2, labels=True).data)
    assert found.shape == np.load(tmp_path / "i.npy").shape
    assert set(np.unique(found)) <= {c.value for c in read_card(tmp_path / "m").classes}


def harmed(model: Path, folder: Path, how: str) -> Path:
    """Copy a model and harm the copy."""
    copy = shutil.copytree(model, folder / "harmed")
    weights, card = copy / "weights.safetensors", copy / "card.json"
    content = weights.read_bytes()
    if how == "truncated":
        weights.write_bytes(content[:100])
    elif how == "altered":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "missing":
        weights.unlink()
    elif how == "newer":
        card.write_text(json.dumps({**json.loads(card.read_text()), "format": 2}))
    elif how == "no card":
        card.unlink()
    return copy


HARM = {
    "truncated": "U141", "altered": "U141", "missing": "U141", "newer": "U145", "no card": "U140",
}  # fmt: skip


@pytest.mark.parametrize(("how", "code"), HARM.items())
@pytest.mark.parametrize("command", ["predict", "check", "show", "export", "from"])
def test_a_harmed_model_is_refused(
    cli: Cli, files: Path, model: Path, tmp_path: Path, how: str, code: str, command: str
) -> None:
    copy = harmed(model, tmp_path, how)
    lines = {
        "predict": ["predict", copy, files / "i.tif", tmp_path / "o.tif"],
        "check": ["models", "check", copy],
        "show": ["models", "show", copy],
        "export": ["models", "export", copy, tmp_path / "m.zip"],
        "from": train(tmp_path, IMAGE, LABELS, "--from", copy),
    }
    before = everything(tmp_path)
    if command == "show" and how in {"truncated", "altered", "missing"}:
        assert cli(*lines[command]).code == 0  # the card itself is whole
    else:
        refused(cli(*lines[command]), code)
    assert everything(tmp_path) == before


PREDICTIONS: dict[str, tuple[str, str, str]] = {
    "no result": ("i.tif", "U170", "out"),
    "no such image": ("none.tif o.tif", "U126", "none.tif"),
    "no image inside": ("text.tif o.tif", "U124", "text.tif"),
    "colours": ("colours.tif o.zarr", "U119", "wants 1 channel(s), colours.tif has 3"),
    "no number is finite": ("nan.tif o.zarr", "U114", "nan.tif"),
    "no kind of file": ("i.tif o.png", "U130", "o.png"),
    "no folder for it": ("i.tif text.tif/o.tif", "U130", ""),
    "somebody's zarr": ("i.tif mine.zarr", "U130", "mine.zarr"),
    "somebody's zarr, resumed": ("i.tif mine.zarr --resume", "U130", "mine.zarr"),
    "the image itself": ("i.tif i.tif", "U130", ""),
    "the labels themselves": ("i.tif l.tif --outputs loss --labels l.tif", "U130", "l.tif"),
    "two outputs in a TIFF": ("i.tif o.tif --outputs classes,probabilities", "U151", ""),
    "unknown output": ("i.tif o.tif --outputs magic", "U150", "probabilities"),
    "no output": ("i.tif o.tif --outputs=", "U150", ""),
    "no gates": ("i.tif o.zarr --outputs attention", "U151", "'unet'"),
    "values of a model of classes": ("i.tif o.zarr --outputs values", "U151", "values"),
    "loss without labels": ("i.tif o.zarr --outputs loss", "U151", "loss"),
    "labels without loss": ("i.tif o.zarr --labels l.tif", "U151", "--outputs"),
    "no such labels": ("i.tif o.zarr --outputs loss --labels none.tif", "U126", "none.tif"),
    "labels of another size": ("i.tif o.zarr --outputs loss --labels nan.tif", "U102", "nan.tif"),
    "no tile": ("i.tif o.tif --tile 0", "U150", "tile"),
    "a tile in words": ("i.tif o.tif --tile small", "U150", "tile"),
    "no device": ("i.tif o.tif --device abacus", "U160", "cpu"),
    "no memory": ("i.tif o.tif --memory 0", "U150", "memory"),
    "a memory in words": ("i.tif o.tif --memory much", "U170", "--memory"),
    "unknown precision": ("i.tif o.tif --precision float8", "U170", "float16"),
    "unknown backend": ("i.tif o.tif --backend abacus", "U170", "torch"),
    "no thread": ("i.tif o.tif --threads 0", "U150", "threads"),
    "a region of other axes": ("i.tif o.tif --region :", "U150", "YX (32, 24)"),
    "a region beyond": ("i.tif o.tif --region 0:33,:", "U150", "0:33 along Y"),
    "a region in words": ("i.tif o.tif --region here", "U170", "0:10,512:1024,:"),
    "a region of a file beyond": ("i.tif o.tif --config beyond.json", "U150", "0:99"),
    "unknown axes": ("i.tif o.tif --axes YQ", "U150", "YQ"),
    "too many axes": ("i.tif o.tif --axes TYX", "U113", "TYX"),
    "a level below 0": ("i.tif o.tif --level -1", "U170", "--level"),
    "a level of a TIFF": ("i.tif o.tif --level 1", "U150", "level 1"),
    "no such settings": ("i.tif o.tif --config none.json", "U126", "none.json"),
    "settings that are none": ("i.tif o.tif --config text.tif", "U126", "text.tif"),
    "unknown setting": ("i.tif o.tif --set colour=red", "U150", "colour"),
    "unknown setting in a group": ("i.tif o.tif --set instances.join=1", "U150", "join"),
    "a word for yes or no": ("i.tif o.tif --set instances.split=perhaps", "U150", "split"),
    "no value": ("i.tif o.tif --set passes", "U170", "KEY=VALUE"),
    "a format and one result": ("i.tif o.tif --format tif", "U151", "--format"),
    "unknown format": ("images out --format png", "U170", "ome.zarr"),
    "several images, one file": ("i.tif l.tif o.zarr", "U151", "o.zarr"),
    "several images, a file for a folder": ("images text.tif", "U151", "text.tif"),
    "results of one name": ("i.tif images out", "U130", "out/i.zarr"),
    "results upon the images": ("images images --format tif", "U130", "images/i.tif"),
    "an empty folder": ("empty out", "U101", "empty"),
    "no such list": ("@none.txt out", "U126", "none.txt"),
    "an empty list": ("@empty.txt out", "U101", "@empty.txt"),
    "fewer labels": ("i.tif nan.tif out --outputs loss --labels l.tif", "U101", "2 images and 1"),
    "workers and a scheduler": ("i.tif o.zarr --workers 2 --scheduler x:1", "U170", "--workers"),
    "no workers": ("i.tif o.zarr --workers 0", "U170", "--workers"),
    "axes for workers": ("i.tif o.zarr --workers 2 --axes XY", "U151", "--axes"),
    "a level of a TIFF for workers": ("i.tif o.zarr --workers 2 --level 1", "U151", "--level"),
    "a plan of workers": ("i.tif o.zarr --workers 2 --plan", "U151", "--plan"),
}  # fmt: skip


@pytest.mark.parametrize("case", PREDICTIONS)
def test_prediction_is_refused(
    cli: Cli, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    words, code, told = PREDICTIONS[case]
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path / "images", tmp_path / "empty"):
        folder.mkdir()
    for path in (tmp_path / "i.tif", tmp_path / "images" / "i.tif"):
        write_tiff(path, IMAGE, "YX")
    write_tiff(tmp_path / "l.tif", LABELS, "YX")
    write_tiff(tmp_path / "nan.tif", IMAGE[1:] * np.nan, "YX")
    write_tiff(tmp_path / "colours.tif", np.stack([IMAGE] * 3), "CYX")
    (tmp_path / "text.tif").write_text("no image")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "beyond.json").write_text('{"region": [[0, 99], [0, 9]]}')
    zarr.create_array(store=tmp_path / "mine.zarr", data=IMAGE)
    before = everything(tmp_path)
    refused(cli("predict", model, *words.split()), code, told)
    assert everything(tmp_path) == before


ALONE = (
    "architectures", "compare --architectures unet", "demo", "describe unet", "devices",
    "evaluate i.npy l.npy", "models list", "predict m i.npy o.tif", "train --out m --folds 2",
    "weights l.npy o.tif",
)  # fmt: skip


@pytest.mark.parametrize("line", ALONE)
def test_what_several_processes_would_all_do_is_refused(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    command, *more = line.split()
    pair = train(tmp_path)[1:5] if command in ("compare", "train") else []
    before = everything(tmp_path)
    monkeypatch.setenv("RANK", "1")
    refused(cli(command, *pair, *more), "U165", "each of 2 processes")
    assert everything(tmp_path) == before


def test_that_is_so_of_every_command_but_that_of_the_window(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = cli("nothing").err.partition("choose from")[2].partition(")")[0]
    assert set(re.findall(r"\w+", choices)) == {"engine"} | {line.split()[0] for line in ALONE}
    for variables in ({"WORLD_SIZE": "2"}, {"WORLD_SIZE": "1", "RANK": "0"}):  # no torchrun; one
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert cli("architectures").code == 0


def test_a_shell_sees_the_same(shell: Cli, tmp_path: Path) -> None:
    line = train(tmp_path, IMAGE.T)
    before = everything(tmp_path)
    refused(shell(*line), "U102", "transpose")
    assert everything(tmp_path) == before


def test_a_full_disk_is_told_and_leaves_no_half_file(
    shell: Cli, model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("resource", reason="limits of POSIX")
    big, out = tmp_path / "big.npy", tmp_path / "out"
    np.save(big, RNG.normal(100, 20, (200, 200)).astype(np.float32))
    training = [*train(tmp_path), "--set", "model.base=8"]
    lines = [
        [out / "m" if word == tmp_path / "m" else word for word in training],
        ["predict", model, big, out / "o.tif"],
        ["predict", model, big, out / "o.zarr", "--outputs", "probabilities"],
    ]
    done = shell(json.dumps(lines, default=str), start=("-c", FULL))
    assert done == (0, "2 2 2\n", done.err)
    assert len(re.findall("^U134: .*$", done.err, re.MULTILINE)) == 3
    assert "Traceback" not in done.err
    assert not [path for path in (out / "m").rglob("*") if path.is_file()]
    assert not (out / "o.tif").exists()
    assert "complete" not in zarr.open_group(out / "o.zarr").attrs
