"""What the loss needs, made from the labels of one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.config import InputError
from napari_unet.targets.balance import count_classes
from napari_unet.targets.grammar import background_value
from napari_unet.targets.numbering import check_labels, number_regions
from napari_unet.targets.ridge import carve_ridge
from napari_unet.targets.weights import WeightMap, weigh, weigh_border

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_unet.config import LabelConfig, WeightConfig
    from napari_unet.targets.grammar import Grammar


@dataclass(frozen=True, slots=True)
class Reading:
    """What the labels of one image say by themselves, before the whole set balances its classes.

    Parameters
    ----------
    classes : uint16 array, (*S)
        Class index of each pixel, after the ridge was carved; 0 where it is not labelled.
    labelled : bool array, (*S)
        False in ignored and unlabelled pixels.
    border : float32 array, (*S)
        The border term, see `weigh_border`; 0 where it is not labelled.
    counts : int64 array, (n,)
        Labelled pixels of each class: add up those of a training set and `balance` them.
    """

    classes: NDArray[np.uint16]
    labelled: NDArray[np.bool_]
    border: NDArray[np.float32]
    counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Targets:
    """What a network should say, and how much each pixel counts.

    Parameters
    ----------
    classes : uint16 array, (*S)
        Class index of each pixel; 0 where it is not labelled.
    weights : float32 array, (*S)
        Weight of each pixel in the loss; 0 where it is not labelled.
    labelled : bool array, (*S)
        False in ignored and unlabelled pixels.
    map : WeightMap
        What the weights are made of; `map.total` is `weights`, the same array.
    """

    classes: NDArray[np.uint16]
    weights: NDArray[np.float32]
    labelled: NDArray[np.bool_]
    map: WeightMap


def read_labels(
    labels: ArrayLike, grammar: Grammar, labels_config: LabelConfig, weight_config: WeightConfig
) -> Reading:
    """Find out what each pixel of one image is, and how near it lies to which objects.

    The border term runs between the objects: of instances, after the ridge was carved; of
    classes, between the connected regions of each class but the first.

    Parameters
    ----------
    labels : integer array, (*S)
        The labels of one image; zero, ignored value and kind as `labels_config` says.
    grammar : Grammar
        What the values mean, from `recognise` over the whole training set.
    labels_config : LabelConfig
        The same settings that `recognise` was given.
    weight_config : WeightConfig
        The border term.

    Raises
    ------
    InputError
        U108 for a class value the grammar does not know; U109 to U116 as `recognise`.
    """
    whole = check_labels(labels, labels_config.ignore)
    labelled = np.ones(whole.shape, bool)
    if labels_config.ignore is not None:
        labelled &= whole != labels_config.ignore
    if labels_config.zero == "unlabelled":
        labelled &= whole != 0
    if grammar.kind == "instances":
        objects = _read_objects(whole, labelled, grammar, labels_config)
        classes = (objects > 0).astype(np.uint16)
    else:
        classes = _read_classes(whole, labelled, grammar)
        objects = number_regions(classes)
    border = weigh_border(classes, objects, labelled, weight_config)
    return Reading(classes, labelled, border, count_classes(classes, labelled, len(grammar.values)))


def make_targets(
    reading: Reading, weight_config: WeightConfig, class_weights: NDArray[np.float64]
) -> Targets:
    """Weigh the pixels of one image as a part of its training set.

    Parameters
    ----------
    reading : Reading
        From `read_labels`, with the same `weight_config`.
    weight_config : WeightConfig
        The formula; whether `class_weights` are used.
    class_weights : float64 array, (n,)
        `balance` of the summed `counts` of the training set.
    """
    classes, labelled = reading.classes, reading.labelled
    weights = weigh(classes, reading.border, labelled, class_weights, weight_config)
    return Targets(classes, weights.total, labelled, weights)


def _read_objects(
    whole: NDArray[np.integer[Any]],
    labelled: NDArray[np.bool_],
    grammar: Grammar,
    config: LabelConfig,
) -> NDArray[np.integer[Any]]:
    inside = labelled & (whole != background_value(config))
    objects = np.where(inside, whole, whole.dtype.type(0))
    if grammar.split:
        return number_regions(inside)
    return carve_ridge(objects) if config.ridge else objects


def _read_classes(
    whole: NDArray[np.integer[Any]], labelled: NDArray[np.bool_], grammar: Grammar
) -> NDArray[np.uint16]:
    values = np.array(grammar.values, np.int64)
    index = np.searchsorted(values, whole.astype(np.int64, copy=False))
    index = np.minimum(index, len(values) - 1)
    unknown = labelled & (values[index] != whole)
    if unknown.any():
        found = int(whole[unknown].min())
        what = f"{np.count_nonzero(unknown):,} pixels have values such as {found}"
        raise InputError("U108", what, f"the known classes are {grammar.values}")
    return np.where(labelled, index, 0).astype(np.uint16)
