"""U-Nets in napari: train on the open layers, see what the network sees, predict any size.

The names below are resolved on first use, so `import napari_unet` costs nothing and
imports no torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_unet.inference.model import open_model
    from napari_unet.inference.predict import predict
    from napari_unet.library.folders import list_models
    from napari_unet.metrics.evaluate import evaluate
    from napari_unet.models.geometry import measure
    from napari_unet.models.registry import build
    from napari_unet.targets.weights import weight_map
    from napari_unet.training.loop import train

__version__ = "0.1.0"

# Before torch loads its threads: those that wait must not spin. On cores shared with a viewer or
# another job a spinning team made a training step many times as long: 3.1 s against 0.19 s, medians
# of 12 steps, measured once, minutes apart, on two cores with a load of about three.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOME: Mapping[str, str] = {
    "build": "napari_unet.models.registry",
    "measure": "napari_unet.models.geometry",
    "train": "napari_unet.training.loop",
    "predict": "napari_unet.inference.predict",
    "evaluate": "napari_unet.metrics.evaluate",
    "weight_map": "napari_unet.targets.weights",
    "open_model": "napari_unet.inference.model",
    "list_models": "napari_unet.library.folders",
}

__all__ = [
    "build",
    "evaluate",
    "list_models",
    "measure",
    "open_model",
    "predict",
    "train",
    "weight_map",
]


def __getattr__(name: str) -> Any:
    """Import the public function `name` from the room it lives in."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
