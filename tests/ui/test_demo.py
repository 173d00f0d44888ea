"""The demonstration in the real window, from the shell."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import imageio.v3 as iio
import pytest

from napari_unet.library.folders import list_models

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.viewer


def test_the_demonstration_trains_predicts_and_shows(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "napari_unet.ui.demo", str(tmp_path), "2", "cells"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "Dice on an image it has not seen: 0." in done.stdout
    assert len(list_models(tmp_path)) == 1
    for name in ("demo-train.png", "demo-predict.png"):
        picture = iio.imread(tmp_path / name)
        assert picture.shape[0] > 600
        assert picture.std() > 10  # something is drawn
