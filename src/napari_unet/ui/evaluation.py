"""A layer against a layer: scores, and every object with what became of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from scipy.ndimage import find_objects

from napari_unet.arrays.axes import lead_shape, name_axes, result_axes, spatial_shape, views
from napari_unet.config import EvaluateConfig, InputError
from napari_unet.metrics.errors import STATUSES, find_errors
from napari_unet.metrics.evaluate import evaluate, evaluate_many
from napari_unet.metrics.pixels import check_shapes
from napari_unet.metrics.tabulate import Table, tabulate
from napari_unet.ui.results import MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.axes import Picture, View
    from napari_unet.metrics.errors import ObjectErrors
    from napari_unet.ui.layers import Source
    from napari_unet.ui.results import LayerTuple

    Pairs = Sequence[tuple[View, View]]

PIXEL_BYTES = 64  # for each pixel of a plane that is compared; 28 to 59 were measured
EXTRA = 1 + STATUSES.index("extra")  # its number in a map of errors

# Okabe and Ito's colours, told apart by all eyes; what is right stays in the background
COLOURS: Mapping[str, tuple[float, float, float, float]] = {
    "found": (0.62, 0.62, 0.62, 0.45),
    "missed": (0.84, 0.37, 0.0, 1.0),
    "merged": (0.34, 0.71, 0.91, 1.0),
    "split": (0.94, 0.89, 0.26, 1.0),
    "extra": (0.80, 0.47, 0.65, 1.0),
}
MEANINGS: Mapping[str, str] = {
    "found": "objects of the truth that were found",
    "missed": "objects of the truth that were not found",
    "merged": "objects of the truth that share one predicted object",
    "split": "objects of the truth that were cut into several",
    "extra": "predicted objects that are not there",
}
OBJECT_COLUMNS = ("index", "status", "label", "size_px", "iou", "matched")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out.

    Parameters
    ----------
    scores : Table
        By class, by overlap or by measure; of several planes, for each, for the pixels or
        objects of all together, and the mean of the planes.
    words : str
        What the table does not hold.
    objects : Table or None
        Of instances: the true objects, then those that are not there, plane by plane. `index`
        is the row, counted from 1; `label` the number in the own layer, `matched` that in the
        other; then the middle of the object in pixels, one column per axis of `errors`.
    errors : int32 array or None, (*lead, *S)
        The `index` of the object at each pixel, 0 outside.
    """

    scores: Table
    words: str
    objects: Table | None = None
    errors: NDArray[np.int32] | None = None


def compare_layers(
    prediction: Source, truth: Source, config: EvaluateConfig, stopped: Callable[[], bool]
) -> Evaluation:
    """Hold a layer against another, plane by plane; runs in a thread.

    Only one plane of a lazy layer is in memory at a time.

    Parameters
    ----------
    prediction, truth : Source
        From `source_of`.
    config : EvaluateConfig
    stopped : callable
        Asked before each plane; true ends the work, and what comes out then means nothing.

    Raises
    ------
    InputError
        U102 if the shapes differ, U113 for too few axes, U161 where the memory would not do,
        and those of `evaluate`.
    """
    check_shapes(prediction.data, truth.data)
    pictures = [
        name_axes(source.data, source.axes, ndim=config.ndim, name=source.name)
        for source in (prediction, truth)
    ]
    _check_memory(pictures[1], config)
    pairs = list(zip(*(views(picture, config.ndim) for picture in pictures), strict=True))
    scores, words = _score(pairs, config, stopped)
    if config.kind != "instances":
        return Evaluation(scores, words)
    rows: list[tuple[Any, ...]] = []
    shape = lead_shape(pictures[1], config.ndim) + spatial_shape(pictures[1], config.ndim)
    errors = np.zeros(shape, np.int32)
    for view, (predicted, true) in zip((t for _, t in pairs), _read(pairs, stopped), strict=False):
        found = find_errors(predicted, true, config.threshold, config.ignore)
        rows += _draw(found, predicted, true, errors, view.lead, 1 + len(rows))
    axes = result_axes(pictures[1], config.ndim).lower()
    return Evaluation(scores, words, Table((*OBJECT_COLUMNS, *axes), tuple(rows)), errors)


def error_layer(evaluation: Evaluation, meta: Mapping[str, Any], source: object) -> LayerTuple:
    """Turn the objects into a Labels layer, coloured by what became of them.

    Parameters
    ----------
    evaluation : Evaluation
        Of instances.
    meta : mapping
        Name and spatial metadata.
    source : object
        What was compared, so that a later layer replaces this one.
    """
    table = evaluation.objects or Table((), ())
    features = {name: [row[k] for row in table.rows] for k, name in enumerate(OBJECT_COLUMNS)}
    clear: dict[Any, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    colours = zip(features["index"], features["status"], strict=True)
    made = {
        "colormap": clear | {index: COLOURS[str(status)] for index, status in colours},
        "features": features,
        "opacity": 0.8,
        "metadata": {MARK: {"errors": source}},
        **meta,
    }
    return evaluation.errors, made, "labels"


def _check_memory(picture: Picture, config: EvaluateConfig) -> None:
    """Refuse what would fill the memory of the viewer."""
    needed = PIXEL_BYTES * math.prod(spatial_shape(picture, config.ndim))
    if config.kind == "instances":
        needed += np.dtype(np.int32).itemsize * math.prod(picture.data.shape)  # the errors
    free = psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            "U161",
            f"to compare layers of {'x'.join(map(str, picture.data.shape))} pixels takes about "
            f"{needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free",
            "crop the layers, or compare them plane by plane",
        )


def _read(pairs: Pairs, stopped: Callable[[], bool]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Read one plane of both after the other: (*S), or (C, *S) of colour."""
    for pair in pairs:
        if stopped():
            return
        prediction, truth = (
            block[0] if len(block) == 1 else block for block in (v[:] for v in pair)
        )
        yield prediction, truth


def _score(pairs: Pairs, config: EvaluateConfig, stopped: Callable[[], bool]) -> tuple[Table, str]:
    """Tabulate the scores of one plane, or of each and of all together; add what else is known."""
    planes = _read(pairs, stopped)
    if len(pairs) == 1:
        result = evaluate(*next(planes), config.kind, config.ignore)
        return tabulate(result), _words(result)
    names = [", ".join(map(str, truth.lead)) for _, truth in pairs]
    result = evaluate_many(planes, config.kind, config.ignore, names)
    parts = {each["name"]: tabulate(each) for each in result["images"]}
    parts |= {"all together": tabulate(result["pooled"]), "mean": tabulate(result["mean"])}
    if config.kind == "instances":
        parts = {name: _nearest(part, config.threshold) for name, part in parts.items()}
    rows = ((name, *row) for name, part in parts.items() for row in part.rows)
    return Table(("plane", *parts["mean"].columns), tuple(rows)), _words(result["pooled"])


def _words(result: Mapping[str, Any]) -> str:
    """Say what the table of a result leaves out."""
    words = [f"{result['n_pixels']:,} pixels"]
    if result["kind"] == "instances":
        words.append(f"{result['n_true']} true and {result['n_predicted']} predicted objects")
        numbers = {"SEG": result["seg"], "mean AP": result["mean_ap"]}
        numbers["Dice of the foreground"] = result["foreground"]["dice"]
        words += [f"{name} {value:.3f}" for name, value in numbers.items() if value is not None]
    return "; ".join([*words, *result["notes"]])


def _nearest(table: Table, threshold: float) -> Table:
    """Of the scores of objects, keep those at the overlap nearest to `threshold`."""
    k = table.columns.index("threshold")
    row = min(table.rows, key=lambda row: abs(float(row[k] or 0) - threshold))
    return Table(table.columns, (row,))


def _draw(
    found: ObjectErrors,
    prediction: NDArray[Any],
    truth: NDArray[Any],
    errors: NDArray[np.int32],
    lead: tuple[int, ...],
    first: int,
) -> list[tuple[Any, ...]]:
    """Number the objects of one plane from `first` on, in `errors[lead]`; return their rows."""
    plane = errors[lead]  # a view
    there = found.predicted["status"] == "extra"
    extra = {name: column[there] for name, column in found.predicted.items()}
    n_true, n_extra = len(found.true["label"]), int(there.sum())
    at = (found.map > 0) & (found.map < EXTRA)
    plane[at] = first + np.searchsorted(found.true["label"], truth[at])
    at = found.map == EXTRA
    plane[at] = first + n_true + np.searchsorted(extra["label"], prediction[at])
    boxes = find_objects(np.maximum(plane - first + 1, 0), n_true + n_extra)
    objects = [
        row
        for part in (found.true, extra)
        for row in zip(*(part[name].tolist() for name in OBJECT_COLUMNS[1:]), strict=True)
    ]
    return [
        (first + k, *row, *lead, *_middle(box, plane.ndim))
        for k, (row, box) in enumerate(zip(objects, boxes, strict=True))
    ]


def _middle(box: tuple[slice, ...] | None, ndim: int) -> tuple[float | None, ...]:
    """Return the middle of a box in pixels; of an object that is hidden, nothing."""
    if box is None:
        return (None,) * ndim
    return tuple((side.start + side.stop - 1) / 2 for side in box)
