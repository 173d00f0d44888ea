"""How well boundaries part what they should: V_Rand and V_Info of the ISBI 2012 challenge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.segmentation import watershed

from napari_unet.metrics.pixels import check_shapes
from napari_unet.targets.numbering import number_objects, number_regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Tally:
    """The pixels of the true segments, by true segment, by predicted one, and by pair of both.

    Parameters
    ----------
    true, predicted, both : integer arrays, (n_true,), (n_predicted,), (n_pairs,)
        Pixel counts; the sum of each is the number of pixels in true segments. A pixel on a
        predicted boundary is a predicted segment of its own.
    """

    true: NDArray[np.intp]
    predicted: NDArray[np.intp]
    both: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class VScores:
    """Agreement of two segmentations; all nan if there is no true segment.

    Parameters
    ----------
    v_rand, v_info : float
        1 is perfect: the harmonic means of the two that follow.
    v_rand_split, v_info_split : float
        1 if no true segment is split.
    v_rand_merge, v_info_merge : float
        1 if no true segments are merged.
    vi : float
        Variation of information in nats: H(true given predicted) + H(predicted given true);
        0 is perfect.
    """

    v_rand: float
    v_rand_split: float
    v_rand_merge: float
    v_info: float
    v_info_split: float
    v_info_merge: float
    vi: float


def v_scores(prediction: NDArray[Any], truth: NDArray[Any]) -> VScores:
    """Compare two segmentations as the ISBI 2012 challenge does.

    With p_ij the share of pixels in true segment i and predicted segment j, t_i and s_j the sums of
    its rows and columns (Arganda-Carreras et al. 2015, https://doi.org/10.3389/fnana.2015.00142):
    V_Rand is split sum p_ij^2 / sum t_i^2 and merge sum p_ij^2 / sum s_j^2; V_Info is split
    I(s, t) / H(s) and merge I(s, t) / H(t). Only pixels of true segments count.

    Parameters
    ----------
    prediction, truth : integer arrays, (*S)
        Every segment has its own number; 0 is boundary. A boundary pixel of the prediction is
        a segment of its own.

    Returns
    -------
    VScores

    Raises
    ------
    InputError
        U102 if the shapes differ.
    """
    check_shapes(prediction, truth)
    return score_tally(tally(number_objects(prediction), number_objects(truth)))


def grow_regions(inside: NDArray[Any]) -> NDArray[np.int64]:
    """Number the regions and let them grow until lines of one pixel part them.

    How wide a boundary was drawn then does not matter. It is a watershed of what is not
    inside, with 4-connected regions.

    Parameters
    ----------
    inside : bool or integer array, (Y, X)
        False or 0 on boundaries; what touches and has one value is one region.

    Returns
    -------
    int64 array, (Y, X)
        0 on the lines; 0 everywhere if nothing is inside.
    """
    regions = number_regions(inside, corners=False)
    grown = watershed(regions == 0, regions, connectivity=1, watershed_line=True)
    return np.asarray(grown, np.int64)


def tally(prediction: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]) -> Tally:
    """Count the pixels of true segments; see `v_scores`.

    Parameters
    ----------
    prediction, truth : integer arrays, (*S)
        Segments 1, 2, 3, ...; 0 is boundary.
    """
    inside = truth > 0
    true, predicted = truth[inside].astype(np.int64), prediction[inside].astype(np.int64)
    known = predicted > 0
    alone = np.ones(np.count_nonzero(~known), np.intp)  # boundary pixels
    pairs = true[known] * (predicted.max(initial=0) + 1) + predicted[known]
    _, both = np.unique(pairs, return_counts=True)
    sizes = (np.bincount(true), np.bincount(predicted[known]))
    first, second = (each[each > 0] for each in sizes)
    return Tally(first, np.append(second, alone), np.append(both, alone))


def pool_tallies(tallies: Sequence[Tally]) -> Tally:
    """Lay the segments of several images side by side, as if they were one image."""
    return Tally(
        np.concatenate([each.true for each in tallies]),
        np.concatenate([each.predicted for each in tallies]),
        np.concatenate([each.both for each in tallies]),
    )


def score_tally(counts: Tally) -> VScores:
    """Score what was counted; see `v_scores`."""
    n = int(counts.true.sum())
    if n == 0:
        return VScores(*[math.nan] * 7)
    true, predicted, both = (each / n for each in (counts.true, counts.predicted, counts.both))
    t, s, p = (math.fsum(each**2) for each in (true, predicted, both))
    h_t, h_s, h_p = (_entropy(each) for each in (true, predicted, both))
    shared = max(h_t + h_s - h_p, 0.0)  # I(s, t)
    return VScores(
        v_rand=2 * p / (t + s),
        v_rand_split=p / t,
        v_rand_merge=p / s,
        v_info=_share(2 * shared, h_t + h_s),
        v_info_split=_share(shared, h_s),
        v_info_merge=_share(shared, h_t),
        vi=max(2 * h_p - h_t - h_s, 0.0),
    )


def _entropy(shares: NDArray[np.float64]) -> float:
    """Return H in nats."""
    return -math.fsum(shares * np.log(shares))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0  # one segment: there was nothing to tell apart
