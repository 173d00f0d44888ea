"""Checkpoints: everything a run needs to go on, in one file whose name holds its checksum.

Two are kept. One that does not match its name (a damaged disk, a half-copied folder) is
passed over in favour of the one before.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from napari_unet.arrays.writing import atomic_write
from napari_unet.config import InputError, TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FOLDER = "checkpoints"
KEPT = 2
_STEP = len("step-00000000")  # how much of a name is the step
_STATE = "state.json"  # the one array that is text


def save_checkpoint(
    folder: Path, step: int, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, Any]
) -> Path:
    """Write a checkpoint of `step` below the model `folder`; it and the one before are kept.

    Those of later steps were passed over when the run was resumed: they are dropped.
    """
    text = np.frombuffer(json.dumps(state).encode(), dtype=np.uint8)
    content = save({**{k: np.asarray(a, order="C") for k, a in arrays.items()}, _STATE: text})
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = folder / FOLDER / f"step-{step:08d}-{digest}.safetensors"
    atomic_write(path, content)
    others = [other for other in _newest_first(folder) if other != path]
    before = [other for other in others if other.name[:_STEP] <= path.name[:_STEP]]
    for old in set(others) - set(before[: KEPT - 1]):
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Return `(arrays, state)` of the newest intact checkpoint, or None when there is none."""
    for path in _newest_first(folder):
        content = path.read_bytes()
        if not path.stem.endswith(hashlib.sha256(content).hexdigest()[:16]):
            continue
        arrays = dict(load(content))
        state = json.loads(arrays.pop(_STATE).tobytes())
        return arrays, state
    return None


def has_checkpoint(folder: Path) -> bool:
    """Tell whether there is a checkpoint below the model `folder`, be it intact or not."""
    return bool(_newest_first(folder))


def read_state(folder: Path) -> dict[str, Any] | None:
    """Return the state of the newest checkpoint alone, unchecked; None when there is none.

    It is small beside the arrays: enough to say how far a run is, not to go on from.
    """
    for path in _newest_first(folder):
        try:
            with safe_open(path, framework="numpy") as file:
                state: dict[str, Any] = json.loads(file.get_tensor(_STATE).tobytes())
        except (OSError, ValueError, SafetensorError):  # the one before may be intact
            continue
        return state
    return None


def settings_of(state: Mapping[str, Any]) -> TrainConfig:
    """Read the settings of a checkpoint; those that came later have their defaults.

    Raises
    ------
    InputError
        U154 for settings that this version does not know.
    """
    try:
        return TrainConfig.model_validate(state["config"])
    except ValueError as error:
        raise InputError(
            "U154",
            "the checkpoint was written with settings that this version does not know",
            "resume with the version it began with, or train into a new folder",
        ) from error


def _newest_first(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("step-*.safetensors"), reverse=True)
