"""Class weights that give every class the same say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def count_classes(
    classes: NDArray[np.integer[Any]], labelled: NDArray[Any], n: int
) -> NDArray[np.int64]:
    """Count the labelled pixels of each class.

    Parameters
    ----------
    classes : integer array, (*S)
        Class indices below `n`.
    labelled : bool or float array, (*S)
        What counts: pixels that are True, or weigh more than 0.
    n : int
        How many classes there are.

    Returns
    -------
    int64 array, (n,)
        Counts of several images may be added up before `balance`.
    """
    return np.bincount(classes[labelled > 0], minlength=n).astype(np.int64)


def balance(counts: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the weight of each class, N / (n_present * count): w_c of Ronneberger et al. 2015.

    All classes that occur weigh the same in total, and the mean weight over all counted
    pixels is 1. A class that does not occur has weight 0.

    Parameters
    ----------
    counts : integer array, (n,)
        Labelled pixels of each class over the whole training set.

    Returns
    -------
    float64 array, (n,)
    """
    present = counts > 0
    weights = np.zeros(len(counts), np.float64)
    weights[present] = counts.sum() / (np.count_nonzero(present) * counts[present])
    return weights
