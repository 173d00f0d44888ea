"""Objects against objects: paired per image, scored over any number of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.metrics.objects import (
    Overlaps,
    find_overlaps,
    pool_overlaps,
    score_overlaps,
    seg_score,
)
from napari_unet.metrics.pixels import check_shapes, class_scores, confusion, require_pixels
from napari_unet.targets.numbering import check_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(10, 20))  # Data Science Bowl 2018


@dataclass(frozen=True, slots=True)
class InstanceCounts:
    """The objects of one image.

    Parameters
    ----------
    n_pixels : int
        Those that count.
    overlaps : Overlaps
        The pairs of objects that share a pixel.
    foreground : int64 array, (2, 2)
        Pixels outside and inside objects: rows of the truth, columns of the prediction.
    """

    n_pixels: int
    overlaps: Overlaps
    foreground: NDArray[np.int64]


def count(prediction: NDArray[Any], truth: NDArray[Any], ignore: int | None) -> InstanceCounts:
    """Pair the objects of one image; see `evaluate`."""
    check_shapes(prediction, truth)
    prediction = check_labels(prediction, None, "prediction")
    truth = check_labels(truth, ignore, "truth")
    n_pixels = truth.size
    if ignore is not None:
        valid = require_pixels(truth != ignore)
        prediction, truth = prediction * valid, truth * valid
        n_pixels = int(np.count_nonzero(valid))
    foreground = confusion((prediction > 0).view(np.uint8), (truth > 0).view(np.uint8), 2)
    return InstanceCounts(n_pixels, find_overlaps(prediction, truth), foreground)


def score(counts: Sequence[InstanceCounts]) -> dict[str, Any]:
    """Score the objects of all images together; see `evaluate`."""
    overlaps = pool_overlaps([each.overlaps for each in counts])
    objects = [asdict(score_overlaps(overlaps, threshold)) for threshold in THRESHOLDS]
    return {
        "n_pixels": sum(each.n_pixels for each in counts),
        "notes": [],
        "n_true": overlaps.n_true,
        "n_predicted": overlaps.n_predicted,
        "objects": objects,
        "mean_ap": math.fsum(each["ap"] for each in objects) / len(objects),
        "seg": seg_score(overlaps),
        "foreground": class_scores(np.sum([each.foreground for each in counts], axis=0))[1],
    }
