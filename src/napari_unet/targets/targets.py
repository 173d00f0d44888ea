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
from napari_unet.targets.weights import WeightMap, weigh

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_unet.config import LabelConfig, WeightConfig
    from napari_unet.targets.grammar import Grammar


@dataclass(frozen=True, slots=True)
class Targets:
    """What a network should say, and how much each pixel counts.

    Parameters
    ----------
    classes : int64 array, (*S)
        Class index of each pixel; 0 where it is not labelled.
    weights : float32 array, (*S)
        Weight of each pixel in the loss; 0 where it is not labelled.
    labelled : bool array, (*S)
        False in ignored and unlabelled pixels.
    map : WeightMap
        What the weights are made of; `map.total` is `weights`, the same array.
    """

    classes: NDArray[np.int64]
    weights: NDArray[np.float32]
    labelled: NDArray[np.bool_]
    map: WeightMap


def make_targets(
    labels: ArrayLike,
    grammar: Grammar,
    labels_config: LabelConfig,
    weight_config: WeightConfig,
    class_weights: NDArray[np.float64],
) -> Targets:
    """Turn the labels of one image into classes and weights.

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
        Border term; whether `class_weights` are used.
    class_weights : float64 array, (n,)
        `balance` of the summed `class_counts` of the training set.

    Returns
    -------
    Targets

    Raises
    ------
    InputError
        U108 for a class value the grammar does not know; U109 to U116 as `recognise`.
    """
    found, labelled = _read(labels, grammar, labels_config)
    if grammar.kind == "instances":
        classes, objects = (found > 0).astype(np.int64), found
    else:
        classes, objects = found.astype(np.int64, copy=False), number_regions(found)
    weights = weigh(classes, objects, labelled, class_weights, weight_config)
    return Targets(classes, weights.total, labelled, weights)


def class_counts(
    labels: ArrayLike, grammar: Grammar, labels_config: LabelConfig
) -> NDArray[np.int64]:
    """Count the labelled pixels of each class after the ridge was carved.

    Parameters
    ----------
    labels : integer array, (*S)
        The labels of one image.
    grammar, labels_config
        As for `make_targets`.

    Returns
    -------
    int64 array, (n,)
        Add up the counts of a training set and `balance` them.
    """
    found, labelled = _read(labels, grammar, labels_config)
    classes = found > 0 if grammar.kind == "instances" else found
    return count_classes(classes.astype(np.intp, copy=False), labelled, len(grammar.values))


def _read(
    labels: ArrayLike, grammar: Grammar, config: LabelConfig
) -> tuple[NDArray[np.integer[Any]], NDArray[np.bool_]]:
    """Return object numbers or class indices, by kind, and where they are labelled."""
    whole = check_labels(labels, config.ignore)
    labelled = np.ones(whole.shape, bool)
    if config.ignore is not None:
        labelled &= whole != config.ignore
    if config.zero == "unlabelled":
        labelled &= whole != 0
    if grammar.kind == "instances":
        return _read_objects(whole, labelled, grammar, config), labelled
    return _read_classes(whole, labelled, grammar), labelled


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
) -> NDArray[np.intp]:
    values = np.array(grammar.values, np.int64)
    index = np.searchsorted(values, whole.astype(np.int64, copy=False))
    index = np.minimum(index, len(values) - 1)
    unknown = labelled & (values[index] != whole)
    if unknown.any():
        found = int(whole[unknown].min())
        what = f"{np.count_nonzero(unknown):,} pixels have values such as {found}"
        raise InputError("U108", what, f"the known classes are {grammar.values}")
    return np.where(labelled, index, 0)
