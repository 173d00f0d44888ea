"""The demonstration runs without a window, on samples and on folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import pytest

from napari_unet.arrays.samples import touching_cells
from napari_unet.arrays.writing import write_array
from napari_unet.cli import main
from napari_unet.cli.demo import load_lesson, settings
from napari_unet.library.folders import list_models

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with images/ and labels/: three small grey pictures and one in colour."""
    for name in ("images", "labels"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    for seed in range(3):
        image, labels = touching_cells((96, 96), seed)
        write_array(tmp_path / "mine/images" / f"{seed}.tif", image)
        write_array(tmp_path / "mine/labels" / f"{seed}.tif", labels)
    iio.imwrite(tmp_path / "mine/images/9.png", np.zeros((96, 96, 3), np.uint8))
    return tmp_path / "mine"


def test_a_folder_is_a_lesson_of_one_kind_of_image(folder: Path) -> None:
    lesson = load_lesson(str(folder))
    assert len(lesson.pairs) == 2
    assert lesson.kind == "instances"
    assert lesson.ndim == 2


@pytest.mark.parametrize(("sample", "ndim"), [("cells", 2), ("signals", 1)])
def test_a_sample_says_how_many_dimensions_it_has(sample: str, ndim: int) -> None:
    lesson = load_lesson(sample)
    assert lesson.ndim == ndim
    assert settings(lesson, 1).model.ndim == ndim


def test_without_a_window(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    words = ["demo", "--out", str(tmp_path / "out"), "--seconds", "1", "--sample", str(folder)]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "Dice on an image it has not seen: 0." in told
    assert iio.imread(tmp_path / "out/demo.png").shape[0] == 96
    assert len(list_models(tmp_path / "out")) == 1


@pytest.mark.parametrize("sample", ["cats", "images-only"])
def test_what_is_no_sample_is_told(
    sample: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images-only/images").mkdir(parents=True)
    name = str(tmp_path / sample) if sample != "cats" else sample
    assert main(["demo", "--out", str(tmp_path / "out"), "--sample", name]) == 2
    assert "U126" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
