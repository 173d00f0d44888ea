"""Training from the shell: settings from flags, recipes and files; the same settings, same bits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest

from napari_unet.arrays.files import open_picture
from napari_unet.arrays.samples import touching_cells
from napari_unet.arrays.writing import write_tiff
from napari_unet.cli.training import read_settings
from napari_unet.config import InputError, TrainConfig
from napari_unet.inference.model import open_model
from napari_unet.library.checkpoints import load_checkpoint
from napari_unet.library.folders import read_card
from tests.cli.conftest import TINY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Done

    Cli = Callable[..., Done]


def train(files: Path, out: Path, *more: Any) -> list[Any]:
    pair = ["--image", files / "i.tif", "--labels", files / "l.tif"]
    return ["train", *pair, "--out", out, *more]


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def test_settings_of_another_model_give_the_same_bits(
    cli: Cli, files: Path, model: Path, tmp_path: Path
) -> None:
    done = cli(*train(files, tmp_path / "m", "--config", model / "config.json"))
    assert done.code == 0, done.err
    assert weights(tmp_path / "m") == weights(model)
    assert (tmp_path / "m/config.json").read_bytes() == (model / "config.json").read_bytes()


def test_flags_win_over_the_config_and_settings_over_the_recipe(
    cli: Cli, files: Path, model: Path, tmp_path: Path
) -> None:
    config = ("--config", model / "config.json")
    cli(*train(files, tmp_path / "a", *config, "--seed", 5, "--minutes", 0.001))
    found = TrainConfig.model_validate_json((tmp_path / "a/config.json").read_text())
    stored = TrainConfig.model_validate_json((model / "config.json").read_text())
    assert found == stored.model_copy(update={"seed": 5, "minutes": 0.001, "epochs": None})
    settings = ("--set", "optimiser.rate=0.01", "--set", "augment.flip=false", "--epochs", 0)
    cli(*train(files, tmp_path / "b", "--recipe", "lecture", *TINY, *settings))
    found = TrainConfig.model_validate_json((tmp_path / "b/config.json").read_text())
    assert (found.recipe, found.loss, found.optimiser.gamma) == ("lecture", "bce", 0.9)
    assert (found.optimiser.rate, found.augment.flip, found.epochs) == (0.01, False, 0)


def test_json_is_the_card_and_nothing_else(cli: Cli, files: Path, tmp_path: Path) -> None:
    done = cli(*train(files, tmp_path / "größe", *TINY, "--epochs", 1, "--json"))
    assert done.code == 0, done.err
    assert json.loads(done.out) == json.loads((tmp_path / "größe/card.json").read_text("utf-8"))
    assert "epoch 1: loss" in done.err
    assert done.out.isascii()


def test_what_was_noted_stands_on_stderr(cli: Cli, files: Path, tmp_path: Path) -> None:
    done = cli(*train(files, tmp_path / "m", *TINY, "--epochs", 1))
    assert done.out == ""
    assert all(words in done.err for words in ("held out", "epoch 1: loss", "Dice"))


def test_a_model_is_tuned_from_another(cli: Cli, files: Path, model: Path, tmp_path: Path) -> None:
    done = cli(*train(files, tmp_path / "m", *TINY, "--epochs", 0, "--from", model))
    assert done.code == 0, done.err
    assert "fine-tuned from 'm'" in done.err
    assert read_card(tmp_path / "m").parent.startswith("m (")


def test_folders_stand_for_their_images_in_the_order_of_their_names(
    cli: Cli, files: Path, tmp_path: Path
) -> None:
    for kind in ("i", "l"):
        (tmp_path / kind).mkdir()
        for name in ("b", "a"):
            (tmp_path / kind / f"{name}.tif").write_bytes((files / f"{kind}.tif").read_bytes())
    pair = ("--image", tmp_path / "i", "--labels", tmp_path / "l")
    done = cli("train", *pair, "--out", tmp_path / "m", *TINY, "--epochs", 1)
    assert done.code == 0, done.err
    assert "1 of 2 images are held out" in done.err
    (tmp_path / "l" / "b.tif").unlink()
    done = cli("train", *pair, "--out", tmp_path / "n", *TINY, "--epochs", 1)
    assert (done.code, done.err[:5]) == (2, "U101:")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The words that name three images of cells and their labels."""
    words: list[Any] = []
    folder = tmp_path_factory.mktemp("pairs")
    for seed in range(3):
        image, labels = touching_cells((48, 40), seed=seed)
        for flag, array in (("image", image), ("labels", labels.astype(np.uint16))):
            write_tiff(folder / f"{flag}-{seed}.tif", array, "YX")
            words += [f"--{flag}", folder / f"{flag}-{seed}.tif"]
    return words


def test_each_fold_holds_out_another_part_and_their_scores_are_printed(
    shell: Cli, cli: Cli, pairs: list[Any], tmp_path: Path
) -> None:
    words = ["train", *pairs, "--out", tmp_path / "m", *TINY, "--epochs", 1, "--folds", 3]
    done = shell(*words)
    assert done.code == 0, done.err
    rows = json.loads((tmp_path / "m/folds.json").read_text())["rows"]
    assert [row["fold"] for row in rows] == [1, 2, 3]
    cards = [open_model(tmp_path / f"m/fold-{k}").card for k in (1, 2, 3)]
    held = [box["pair"] for card in cards for box in card.training["split"]["boxes"]]
    assert sorted(held) == [0, 1, 2]
    head, *lines = done.out.splitlines()
    assert head.split()[:2] == ["fold", "dice"]
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "mean", "standard"]
    again = cli(*words, "--resume", "--json")  # there is nothing left to train
    printed = json.loads(again.out)
    assert printed["folds"] == rows
    assert printed["mean"]["dice"] == pytest.approx(np.mean([row["dice"] for row in rows]))


def test_label_values_are_called_and_coloured_as_was_said(
    shell: Cli, cli: Cli, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "i.npy", rng.normal(size=(20, 20)).astype(np.float32))
    np.save(tmp_path / "l.npy", rng.choice(np.array([0, 1, 7], np.uint8), (20, 20)))
    words = ["train", "--image", tmp_path / "i.npy", "--labels", tmp_path / "l.npy", *TINY]
    words += ["--kind", "classes", "--epochs", 0]
    named = ("--class", "7=cell wall:#00ff00", "--class", "1=nucleus")
    done = shell(*words, *named, "--out", tmp_path / "m")
    assert done.code == 0, done.err
    found = {entry.value: entry for entry in read_card(tmp_path / "m").classes}
    assert {value: entry.name for value, entry in found.items()} == {
        0: "background", 1: "nucleus", 7: "cell wall"
    }  # fmt: skip
    assert found[7].colour == "#00ff00"
    assert found[1].colour != found[7].colour
    for wrong, code in (("nucleus", "U150"), ("1=a:red", "U150"), ("1=a --class 1=b", "U151")):
        done = cli(*words, "--class", *wrong.split(), "--out", tmp_path / "n")
        assert (done.code, done.err[:5]) == (2, f"{code}:")


def test_pairs_are_drawn_by_their_shares(
    shell: Cli, cli: Cli, pairs: list[Any], tmp_path: Path
) -> None:
    words = ["train", *pairs[:8], *TINY, "--epochs", 1, "--set", "validation=0"]
    done = shell(*words, "--shares", "1,3", "--out", tmp_path / "1,3")
    assert done.code == 0, done.err
    for shares in ("2,6", "3,1", "1,1"):
        assert cli(*words, "--shares", shares, "--out", tmp_path / shares).code == 0
    assert cli(*words, "--out", tmp_path / "alike").code == 0
    assert weights(tmp_path / "2,6") == weights(tmp_path / "1,3")  # relative to one another
    assert weights(tmp_path / "3,1") != weights(tmp_path / "1,3")
    assert weights(tmp_path / "alike") == weights(tmp_path / "1,1")
    for wrong, code in (("1,2,3", "U151"), ("1", "U151"), ("1,0", "U150"), ("1;2", "U170")):
        done = cli(*words, "--shares", wrong, "--out", tmp_path / "n")
        assert (done.code, done.err[:5]) == (2, f"{code}:")


def test_a_stack_is_learned_plane_by_plane_or_as_a_volume(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "i.npy", rng.normal(size=(6, 20, 20)).astype(np.float32))
    np.save(tmp_path / "l.npy", rng.integers(0, 3, (6, 20, 20)))
    pair = ("--image", tmp_path / "i.npy", "--labels", tmp_path / "l.npy", *TINY, "--epochs", 1)
    done = cli("train", *pair, "--out", tmp_path / "2", "--kind", "classes")
    assert "6 planes" in done.err
    done = cli("train", *pair, "--out", tmp_path / "3", "--kind", "classes", "--ndim", 3)
    assert done.code == 0, done.err
    assert [read_card(tmp_path / n).model.ndim for n in "23"] == [2, 3]


def test_the_voxel_size_of_a_file_decides_which_axes_are_halved(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volume, labels = rng.normal(size=(8, 20, 20)), rng.integers(0, 2, (8, 20, 20))
    write_tiff(tmp_path / "i.tif", volume.astype(np.float32), "ZYX", (3.0, 1.0, 1.0))
    np.save(tmp_path / "l.npy", labels)
    pair = ("--image", tmp_path / "i.tif", "--labels", tmp_path / "l.npy", "--kind", "classes")
    words = (*pair, *TINY, "--ndim", 3, "--epochs", 1, "--set", "model.depth=2")
    done = cli("train", *words, "--out", tmp_path / "m")
    assert done.code == 0, done.err
    assert "planned from the images: Z, Y, X are halved 1, 2, 2 times" in done.err
    card = read_card(tmp_path / "m")
    assert (card.spacing, card.model.flat) == ((3.0, 1.0, 1.0), (1, 0, 0))


def test_a_picture_in_colour_is_learned_as_values(cli: Cli, files: Path, tmp_path: Path) -> None:
    grey = np.asarray(open_picture(files / "i.tif", ndim=2).data).astype(float)
    colours = np.stack([grey, 0.5 * grey, grey[::-1], grey], axis=-1)  # the last is opacity
    iio.imwrite(tmp_path / "t.png", (255 * colours / colours.max()).astype(np.uint8))
    pair = ("--image", files / "i.tif", "--labels", tmp_path / "t.png", "--kind", "regression")
    done = cli("train", *pair, "--out", tmp_path / "m", *TINY, "--epochs", 1)
    assert done.code == 0, done.err
    assert len(read_card(tmp_path / "m").target) == 3
    assert cli("predict", tmp_path / "m", files / "i.tif", tmp_path / "o.tif").code == 0
    words = ("evaluate", tmp_path / "o.tif", tmp_path / "t.png", "--kind", "regression", "--json")
    assert json.loads(cli(*words).out)["n_pixels"] == 3 * grey.size


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_an_interrupted_training_keeps_its_work(files: Path, tmp_path: Path) -> None:
    words = train(files, tmp_path / "m", *TINY, "--epochs", 100_000, "--json")
    line = [sys.executable, "-m", "napari_unet", *map(str, words)]
    child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watchdog = threading.Timer(60, child.kill)
    watchdog.start()
    said = ""
    while "epoch 2" not in said:
        said = child.stderr.readline() or pytest.fail(f"it ended with {child.wait()}")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate()
    watchdog.cancel()
    assert child.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "stopped: what was learned is kept"
    assert "Traceback" not in err
    steps = open_model(tmp_path / "m").card.training["steps"]
    assert load_checkpoint(tmp_path / "m")[1]["step"] == steps >= 4


def test_settings_are_read_as_json_or_words() -> None:
    pairs = ["a.b=1", "a.c=true", "d=word", "e=null", "a.f=[1, 2]", "g=x=y", "h="]
    settings = {"a": {"b": 1, "c": True, "f": [1, 2]}, "d": "word", "e": None, "g": "x=y", "h": ""}
    assert read_settings(pairs) == settings
    assert read_settings(["a.b=1", "a.b=2"]) == {"a": {"b": 2}}
    with pytest.raises(InputError, match="U170"):
        read_settings(["a.b"])
