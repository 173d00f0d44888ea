"""What can be done with models that are there, in words and in JSON."""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest

from napari_unet.arrays.files import open_picture
from napari_unet.cli import models
from napari_unet.library.folders import read_card, verify
from tests.cli.conftest import TINY, everything

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Done

    Cli = Callable[..., Done]


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(model, tmp_path / "models" / "m")


def test_models_are_listed(cli: Cli, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_UNET_HOME", str(copy.parents[1]))
    for where in ((), (copy.parent,)):
        done = cli("models", "list", *where, "--json")
        (row,) = json.loads(done.out)
        assert (row["path"], row["name"], row["architecture"]) == (str(copy), "m", "unet")
        assert (row["kind"], row["mae"]) == ("instances", None)
        assert 0 <= row["dice"] <= 1
        assert cli("models", "list", *where).out.startswith(f"{copy}  m  unet  instances  dice ")
    monkeypatch.setenv("NAPARI_UNET_HOME", str(copy))
    assert json.loads(cli("models", "list", "--json").out) == []
    assert cli("models", "list").out == ""


def test_a_model_of_values_is_listed_with_its_error(cli: Cli, files: Path, tmp_path: Path) -> None:
    pair = ("--image", files / "i.tif", "--labels", files / "i.tif")
    out = tmp_path / "models/v"
    done = cli("train", *pair, "--out", out, "--kind", "regression", *TINY, "--epochs", 1)
    assert done.code == 0, done.err
    (row,) = json.loads(cli("models", "list", tmp_path / "models", "--json").out)
    assert (row["kind"], row["dice"]) == ("regression", None)
    assert row["mae"] >= 0
    assert "regression  mae " in cli("models", "list", tmp_path / "models").out
    assert cli("predict", out, files / "i.tif", tmp_path / "o.tif").code == 0
    assert open_picture(tmp_path / "o.tif", ndim=2).data.dtype == "float32"


def test_the_card_is_shown(cli: Cli, copy: Path) -> None:
    for flags in ((), ("--json",)):
        assert json.loads(cli("models", "show", copy, *flags).out) == json.loads(
            (copy / "card.json").read_text()
        )


def test_a_model_is_checked(cli: Cli, copy: Path) -> None:
    assert "every checksum holds" in cli("models", "check", copy).out
    assert json.loads(cli("models", "check", copy, "--json").out) == {"ok": True, "probe": 0.0}


@pytest.mark.parametrize("tile", ["auto", "rows", "16"])
def test_tiles_are_checked_against_the_whole(cli: Cli, files: Path, copy: Path, tile: str) -> None:
    words = ("models", "check", copy, "--image", files / "i.tif", "--tile", tile)
    done = cli(*words)
    assert done.code == 0, done.err
    assert "every checksum holds" in done.out
    assert "tiles differ from the whole by" in done.out
    record = json.loads(cli(*words, "--json").out)
    assert (record["ok"], record["probe"]) == (True, 0.0)
    assert 0 <= record["tiles"]["largest"] <= 1e-3 * record["tiles"]["spread"]


def test_tiles_that_differ_from_the_whole_are_told(
    cli: Cli, files: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "SEAMLESS", -1.0)  # as no network that is shipped does
    words = ("models", "check", copy, "--image", files / "i.tif", "--tile", 16)
    assert cli(*words).code == 1
    done = cli(*words, "--json")
    assert (done.code, json.loads(done.out)["ok"]) == (1, False)


def test_an_image_that_cannot_be_checked_is_refused(cli: Cli, files: Path, copy: Path) -> None:
    words = ("models", "check", copy, "--image")
    for more, code in (
        ((files / "none.tif",), "U126:"), ((files / "i.tif", "--tile", "small"), "U150:"),
    ):  # fmt: skip
        done = cli(*words, *more)
        assert (done.code, done.err[:5], done.out) == (2, code, "")


def test_a_model_is_removed_and_nothing_else(cli: Cli, copy: Path) -> None:
    (copy / "thesis.txt").write_text("mine")
    done = json.loads(cli("models", "remove", copy, "--json").out)
    assert done == {"removed": str(copy), "folder_removed": False}
    assert everything(copy) == {"thesis.txt": b"mine"}
    assert cli("models", "remove", copy).code == 2


def test_a_model_travels(cli: Cli, copy: Path, tmp_path: Path) -> None:
    done = cli("models", "export", copy, tmp_path / "m.zip", "--json")
    assert json.loads(done.out) == {"path": str(tmp_path / "m.zip")}
    done = cli("models", "import", tmp_path / "m.zip", "--to", tmp_path / "library", "--json")
    folder = (tmp_path / "library").iterdir().__next__()
    assert json.loads(done.out) == {"path": str(folder)}
    assert verify(folder) == read_card(copy)
    again = cli("models", "import", tmp_path / "m.zip", "--to", tmp_path / "library")
    assert (again.code, again.err[:5]) == (2, "U131:")
    shutil.rmtree(folder)
    done = cli("models", "import", tmp_path / "m.zip", "--to", tmp_path / "library")
    assert done.out == f"the model is {folder}\n"


def test_a_package_that_is_none_is_refused(cli: Cli, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("../evil.json", "{}")
    done = cli("models", "import", tmp_path / "x.zip", "--to", tmp_path / "library")
    assert (done.code, done.err[:5]) == (2, "U141:")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize(
    "words",
    [
        ["show"], ["check"], ["remove"], ["export"], ["import"], ["export", "m"],
        ["show", "m", "x.zip"], ["list", ".", "x.zip"], ["show", "m", "--to", "."], ["dance", "m"],
        ["show", "m", "--image", "i.tif"], ["list", ".", "--tile", "9"],
        ["check", "m", "--tile", "9"],
    ],
)  # fmt: skip
def test_words_that_do_not_fit_are_refused(cli: Cli, words: list[str]) -> None:
    done = cli("models", *words)
    assert (done.code, done.err[:5], done.out) == (2, "U170:", "")
    assert len(done.err.splitlines()) == 1


def test_a_folder_that_is_not_there_holds_no_models(cli: Cli, tmp_path: Path) -> None:
    done = cli("models", "list", tmp_path / "none")
    assert (done.code, done.err[:5]) == (2, "U126:")
