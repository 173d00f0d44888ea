"""Training a model for longer: its own settings, and more of the budget."""

from __future__ import annotations

from pathlib import Path

from napari_unet.config import InputError, TrainConfig
from napari_unet.library.checkpoints import read_state, settings_of


def longer(
    folder: str | Path, *, minutes: float | None = None, epochs: int | None = None
) -> TrainConfig:
    """Return the settings with which the run in `folder` is resumed for so much longer.

    Parameters
    ----------
    folder : str or Path
        A model folder with a checkpoint.
    minutes, epochs : float, int
        One of both: how much more than by its newest checkpoint. An epoch that has begun is
        finished as well.

    Raises
    ------
    InputError
        U132 where there is no checkpoint, U154 for settings that this version does not know.
    """
    state = read_state(Path(folder))
    if state is None:
        raise InputError(
            "U132", f"{folder} holds no checkpoint to go on from", "fine-tune the model instead"
        )
    if epochs is not None:
        budget = {"epochs": state["epoch"] + bool(state["losses"]) + epochs, "minutes": None}
    else:
        budget = {"epochs": None, "minutes": state["elapsed_s"] / 60 + (minutes or 0)}
    return TrainConfig.model_validate({**settings_of(state).model_dump(), **budget})
