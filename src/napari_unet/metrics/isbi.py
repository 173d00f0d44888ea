"""Membranes against membranes, as in the ISBI 2012 challenge: counted per slice and threshold."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.config import InputError
from napari_unet.metrics.boundaries import (
    Tally,
    grow_regions,
    pool_tallies,
    score_tally,
    tally,
)
from napari_unet.metrics.pixels import check_shapes, require_pixels
from napari_unet.metrics.warping import warp
from napari_unet.targets.numbering import check_labels, number_regions
from napari_unet.targets.ridge import carve_ridge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

LEVELS = tuple(k / 10 for k in range(10))  # inside is what lies above
# each measure is read at the threshold that is best for
RULERS: Mapping[str, str] = MappingProxyType(
    {
        "v_rand": "v_rand",
        "v_rand_split": "v_rand",
        "v_rand_merge": "v_rand",
        "v_info": "v_info",
        "v_info_split": "v_info",
        "v_info_merge": "v_info",
        "vi": "vi",
        "pixel_error": "pixel_error",
        "warping_error": "warping_error",
    }
)


@dataclass(frozen=True, slots=True)
class Cut:
    """A slice at one threshold.

    Parameters
    ----------
    n_pixels : int
        Those that count.
    segments : Tally
        The pixels of the true segments, by true and by predicted segment.
    wrong, unbent : int
        Pixels on the wrong side, before and after the truth was bent.
    """

    n_pixels: int
    segments: Tally
    wrong: int
    unbent: int


@dataclass(frozen=True, slots=True)
class MembraneCounts:
    """The slices of one image or stack.

    Parameters
    ----------
    graded : bool
        The prediction is a probability, not labels.
    slices : tuple of tuple of Cut, (n_slices, n_levels)
        One cut for each of LEVELS.
    """

    graded: bool
    slices: tuple[tuple[Cut, ...], ...]


def count(prediction: NDArray[Any], truth: NDArray[Any], ignore: int | None) -> MembraneCounts:
    """Segment and compare each slice of one image or stack; see `evaluate`."""
    check_shapes(prediction, truth)
    graded = _is_probability(prediction)
    prediction = prediction if graded else check_labels(prediction, None, "prediction")
    truth = check_labels(truth, ignore, "truth")
    if truth.ndim not in (2, 3):
        what = f"prediction and truth have {truth.ndim} axes"
        raise InputError("U113", what, "choose a plane or a stack of planes for kind = isbi")
    valid = truth != ignore if ignore is not None else np.ones(truth.shape, bool)
    require_pixels(valid)
    planes = (each.reshape(-1, *truth.shape[-2:]) for each in (prediction, truth, valid))
    compare = _cut_at_levels if graded else _cut_labels
    slices = [compare(p, t, v) for p, t, v in zip(*planes, strict=True) if v.any()]
    return MembraneCounts(graded, tuple(slices))


def _is_probability(prediction: NDArray[Any]) -> bool:
    """Whether there are fractions, all of them from 0 to 1."""
    if prediction.dtype.kind != "f" or not prediction.size:
        return False
    between = bool(prediction.min() >= 0 and prediction.max() <= 1)
    return between and bool(np.any(prediction != np.rint(prediction)))


def _cut_at_levels(
    prediction: NDArray[Any], truth: NDArray[Any], valid: NDArray[np.bool_]
) -> tuple[Cut, ...]:
    """Compare a probability (Y, X) at each of LEVELS."""
    return tuple(
        _cut((prediction > level) & valid, truth, valid, np.abs(prediction - level))
        for level in LEVELS
    )


def _cut_labels(
    prediction: NDArray[Any], truth: NDArray[Any], valid: NDArray[np.bool_]
) -> tuple[Cut, ...]:
    """Compare labels (Y, X), which are the same at each of LEVELS."""
    cut = _cut(prediction * valid, truth, valid, np.ones(truth.shape))
    return (cut,) * len(LEVELS)


def _cut(
    found: NDArray[Any],
    truth: NDArray[Any],
    valid: NDArray[np.bool_],
    urgency: NDArray[np.floating[Any]],
) -> Cut:
    truth = truth * valid
    # where different labels touch, there is a boundary
    target, inside = (carve_ridge(each) > 0 for each in (found, truth))
    return Cut(
        n_pixels=int(np.count_nonzero(valid)),
        segments=tally(grow_regions(found), number_regions(truth, corners=False)),
        wrong=int(np.count_nonzero(inside != target)),
        unbent=int(np.count_nonzero(warp(inside, target, urgency) != target)),
    )


def score(counts: Sequence[MembraneCounts]) -> dict[str, Any]:
    """Score the slices of all images, on average and together; see `evaluate`."""
    slices = [cuts for each in counts for cuts in each.slices]
    levels = list(zip(*slices, strict=True))
    means = [_average([_measure(cut) for cut in cuts]) for cuts in levels]
    pooled = [_measure(_pool(cuts)) for cuts in levels]
    best = {name: _best(ruler, means) for name, ruler in RULERS.items()}
    graded = any(each.graded for each in counts)
    return {
        "n_pixels": sum(cuts[0].n_pixels for cuts in slices),
        "n_slices": len(slices),
        "notes": [],
        **{name: means[k][name] for name, k in best.items()},
        "pooled": {name: pooled[k][name] for name, k in best.items()},
        "threshold": {name: LEVELS[k] if graded else None for name, k in best.items()},
    }


def _measure(cut: Cut) -> dict[str, float]:
    return {
        **asdict(score_tally(cut.segments)),
        "pixel_error": cut.wrong / cut.n_pixels,
        "warping_error": cut.unbent / cut.n_pixels,
    }


def _pool(cuts: Sequence[Cut]) -> Cut:
    return Cut(
        sum(cut.n_pixels for cut in cuts),
        pool_tallies([cut.segments for cut in cuts]),
        sum(cut.wrong for cut in cuts),
        sum(cut.unbent for cut in cuts),
    )


def _average(measures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average each measure over the slices where it is defined."""
    means = {}
    for name in RULERS:
        held = [each[name] for each in measures if not math.isnan(each[name])]
        means[name] = math.fsum(held) / len(held) if held else math.nan
    return means


def _best(ruler: str, means: Sequence[Mapping[str, float]]) -> int:
    """Return at which of LEVELS a measure is best, the first of them if several are."""
    sign = -1 if ruler in ("v_rand", "v_info") else 1
    return min(range(len(means)), key=lambda k: (sign * means[k][ruler], k))
