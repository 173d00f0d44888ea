"""Whether a training loss goes the wrong way, told from its noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 16  # steps in a stretch; their mean is nearly normal then
STRETCHES = 16  # of a long run
CERTAIN = 4.0  # standard errors that noise does not reach
RISEN = 1.5  # times the lowest
JUMP, JUMPING = 10.0, 4  # times the first loss, over that many steps
NO_BETTER = 0.8  # of the beginning: less shows that something was learned


def diverged_since(losses: NDArray[np.float64]) -> int | None:
    """Return from where on the loss rises, or None where it does not, beyond doubt.

    The run is cut into equal stretches. The means of the last two have both to lie half above
    the lowest mean before them, and by four standard errors of the two means: one hard batch
    is not enough, nor a loss that swings as much as it always did.

    Parameters
    ----------
    losses : float64 array, (N,)
        Of every step, finite, not negative.

    Returns
    -------
    int or None
        The index at which the lowest stretch ends.
    """
    width = max(FEWEST, len(losses) // STRETCHES)
    count = len(losses) // width
    if count < 4:
        return None
    first = len(losses) - count * width  # the last stretch ends now
    stretches = losses[first:].reshape(count, width)
    means, errors = stretches.mean(axis=1), stretches.std(axis=1, ddof=1) / np.sqrt(width)
    lowest = int(np.argmin(means[:-2]))
    rise = means[-2:] - means[lowest]
    doubt = CERTAIN * np.hypot(errors[-2:], errors[lowest])
    if (rise > doubt).all() and (means[-2:] > RISEN * means[lowest]).all():
        return first + (lowest + 1) * width - 1
    return None


def jumped_at(losses: NDArray[np.float64]) -> int | None:
    """Return where the loss jumped far above what it began with, if nothing was learned since.

    Parameters
    ----------
    losses : float64 array, (N,)
        Of every step, finite, not negative.

    Returns
    -------
    int or None
        Where the jump is: the first four steps in a row whose mean is ten times the loss of the
        first step. None where there are none; where the last steps are better than the first;
        and where they vary so much that four in a row may well be ten times the usual.
    """
    if len(losses) < FEWEST or not losses.any():
        return None
    beginning = float(losses[losses > 0][0])  # a batch without labels has a loss of 0
    usual = float(np.median(losses[-max(FEWEST // 2, len(losses) // STRETCHES) :]))
    last = len(losses) - JUMPING + 1
    means = np.sum([losses[k : k + last] for k in range(JUMPING)], axis=0) / JUMPING
    high = means > JUMP * beginning
    came_back = means.max() > JUMP * usual  # to where it began
    if not high.any() or usual < NO_BETTER * beginning or not (came_back or high[-1]):
        return None
    return int(np.argmax(high))
