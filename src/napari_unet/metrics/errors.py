"""What became of each object: found, missed, merged, split, or invented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.metrics.objects import Overlaps, find_overlaps, match_overlaps
from napari_unet.metrics.pixels import check_shapes
from napari_unet.targets.numbering import check_labels, number_objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

STATUSES = ("found", "missed", "merged", "split", "extra")


@dataclass(frozen=True, slots=True)
class ObjectErrors:
    """The fate of the objects on both sides, as tables and as a picture.

    Parameters
    ----------
    true, predicted : mapping of str to arrays, (n_true,) and (n_predicted,)
        Columns, one row for each object in the order of its label: `label`; `size_px`, its
        pixels; `iou`, its largest intersection over union with any object of the other side;
        `matched`, the label of its partner, or 0; `status`, one of STATUSES.
    map : uint8 array, (*S)
        0 nothing, else 1 + the place in STATUSES: pixels of true objects by their status, and
        of invented objects those that lie on the background of the truth.
    """

    true: Mapping[str, NDArray[Any]]
    predicted: Mapping[str, NDArray[Any]]
    map: NDArray[np.uint8]


def find_errors(
    prediction: ArrayLike, truth: ArrayLike, threshold: float = 0.5, ignore: int | None = None
) -> ObjectErrors:
    """Say of each object what became of it.

    One object holds another if more than half of the other's pixels lie in it. Of the true
    objects, those that `match_objects` matches are *found*. Of the rest, those are *merged* that
    are held by a predicted object which holds two or more true ones; of the rest, those are
    *split* that hold two or more predicted objects themselves; all others are *missed*. Of
    the predicted objects the same holds the other way round: found; split, if it is one of the
    pieces that a true object holds; merged, if it holds several true ones; else *extra*. So
    swapping the images swaps merged and split, and missed and extra.

    Parameters
    ----------
    prediction, truth : integer arrays, (*S)
        0 is background, every object has its own number.
    threshold : float
        Smallest intersection over union of a match, above 0 and at most 1.
    ignore : int, optional
        Pixels where the truth has this value do not count.

    Returns
    -------
    ObjectErrors

    Raises
    ------
    InputError
        U102 if the shapes differ, U150 for a threshold out of range; U109, U110, U112, U116 for
        labels that are none.
    """
    predicted = check_labels(prediction, name="prediction")
    true = check_labels(truth, ignore, "truth")
    check_shapes(predicted, true)
    if ignore is not None:
        counts = true != ignore
        predicted, true = predicted * counts, true * counts
    overlaps = find_overlaps(predicted, true)
    matched = match_overlaps(overlaps, threshold)
    labels = [np.unique(each[each > 0]).astype(np.int64) for each in (true, predicted)]
    found = _columns(overlaps, matched, labels, ("found", "missed", "merged", "split"))
    made = _columns(_swap(overlaps), matched, labels[::-1], ("found", "extra", "split", "merged"))
    codes = [0, *(1 + STATUSES.index(status) for status in found["status"])]
    picture = np.array(codes, np.uint8)[number_objects(true)]
    extra = np.append(False, made["status"] == "extra")[number_objects(predicted)]
    picture[extra & (true <= 0)] = 1 + STATUSES.index("extra")
    return ObjectErrors(found, made, picture)


def _swap(overlaps: Overlaps) -> Overlaps:
    """Exchange truth and prediction; the order of the pairs stays."""
    return Overlaps(
        overlaps.predicted,
        overlaps.true,
        overlaps.shared,
        overlaps.predicted_sizes,
        overlaps.true_sizes,
    )


def _columns(
    overlaps: Overlaps,
    matched: NDArray[np.intp],
    labels: Sequence[NDArray[np.int64]],
    statuses: tuple[str, str, str, str],
) -> dict[str, NDArray[Any]]:
    """Describe the objects of one side: the true one of `overlaps`, the first of `labels`."""
    mine, theirs = overlaps.true, overlaps.predicted
    best = np.zeros(overlaps.n_true)
    np.maximum.at(best, mine, overlaps.iou)
    partner = np.zeros(overlaps.n_true, np.int64)
    partner[mine[matched]] = labels[1][theirs[matched]]
    return {
        "label": labels[0],
        "size_px": overlaps.true_sizes,
        "iou": best,
        "matched": partner,
        "status": np.array(statuses)[_judge(overlaps, matched)],
    }


def _judge(overlaps: Overlaps, matched: NDArray[np.intp]) -> NDArray[np.intp]:
    """Tell of true objects: 0 matched, 1 alone, 2 held with others, 3 holding several."""
    mine, theirs, shared = overlaps.true, overlaps.predicted, overlaps.shared
    held = 2 * shared > overlaps.true_sizes[mine]
    holds = 2 * shared > overlaps.predicted_sizes[theirs]
    company = np.bincount(theirs[held], minlength=overlaps.n_predicted)
    pieces = np.bincount(mine[holds], minlength=overlaps.n_true)
    fate = np.where(pieces >= 2, 3, 1)
    fate[mine[held & (company[theirs] >= 2)]] = 2
    fate[mine[matched]] = 0
    return fate
