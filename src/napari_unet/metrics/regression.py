"""Values against values: summed per image, scored over any number of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.config import InputError
from napari_unet.metrics.pixels import check_shapes, require_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ErrorSums:
    """The errors of one image, in the units of the truth.

    Parameters
    ----------
    n_pixels : int
        Those that count.
    squares, sizes : float
        Sum of the squared errors, sum of their absolute values.
    """

    n_pixels: int
    squares: float
    sizes: float


def count(prediction: NDArray[Any], truth: NDArray[Any], ignore: int | None) -> ErrorSums:
    """Sum up the errors of one image; see `evaluate`."""
    check_shapes(prediction, truth)
    for name, values in (("prediction", prediction), ("truth", truth)):
        if values.dtype.kind not in "biuf":
            raise InputError("U116", f"{name} is of type {values.dtype}", "choose real numbers")
    valid = np.isfinite(truth)
    if ignore is not None:
        valid &= truth != ignore
    valid = require_pixels(valid)
    error = prediction[valid].astype(np.float64) - truth[valid].astype(np.float64)
    return ErrorSums(error.size, float(np.sum(error**2)), float(np.sum(np.abs(error))))


def score(counts: Sequence[ErrorSums]) -> dict[str, Any]:
    """Average the errors of all images together; see `evaluate`."""
    n_pixels = sum(each.n_pixels for each in counts)
    mse = math.fsum(each.squares for each in counts) / n_pixels
    return {
        "n_pixels": n_pixels,
        "notes": [],
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": math.fsum(each.sizes for each in counts) / n_pixels,
    }
