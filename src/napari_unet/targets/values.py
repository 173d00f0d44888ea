"""Regression: which pixels of a target image are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.config import LabelConfig


def read_values(
    target: NDArray[np.float32], config: LabelConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the values that are known, and what each pixel weighs: 1, or 0 where one is not.

    A pixel is not known if a channel of it is not finite, or if all its channels have the
    ignored value, or 0 where zero means unlabelled.

    Parameters
    ----------
    target : float32 array, (K, *S)
        As the user has it.
    config : LabelConfig
        What zero means, and the ignored value.

    Returns
    -------
    values : float32 array, (K, *S)
        NaN where they are not known.
    weights : float32 array, (*S)
    """
    known = np.asarray(np.isfinite(target).all(axis=0))
    if config.ignore is not None:
        known &= (target != config.ignore).any(axis=0)
    if config.zero == "unlabelled":
        known &= (target != 0).any(axis=0)
    values = target.copy()
    values[:, ~known] = np.nan
    return values, known.astype(np.float32)
