"""Where this program keeps what is its user's."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return `$NAPARI_UNET_HOME`, or `~/napari-unet`."""
    chosen = os.environ.get("NAPARI_UNET_HOME")
    return Path(chosen) if chosen else Path.home() / "napari-unet"
