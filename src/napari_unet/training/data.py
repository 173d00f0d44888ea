"""From pairs of image and labels to what training needs: checked, normalised, weighted, split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.arrays.intensity import choose_normalisation, measure_intensity
from napari_unet.config import InputError
from napari_unet.targets.balance import balance
from napari_unet.targets.grammar import Grammar, recognise
from napari_unet.targets.targets import class_counts, make_targets
from napari_unet.targets.values import read_values
from napari_unet.training.augment import Source
from napari_unet.training.holding_out import hold_out
from napari_unet.training.pairs import open_planes
from napari_unet.training.scaling import measure_target, normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.intensity import Normalisation
    from napari_unet.config import TrainConfig
    from napari_unet.library.card import Card, TargetCard
    from napari_unet.training.pairs import Pair, Plane
    from napari_unet.training.pixels import Pixels

NO_CLASSES = Grammar((), ())


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run learns from, and what was found in it.

    Of labels, `grammar` says what their values mean; of a regression it is empty, and `target`
    holds mean and spread of each channel.
    """

    train: tuple[Source, ...]
    validation: tuple[Source, ...]
    channels: int
    grammar: Grammar
    class_weights: NDArray[np.float64]
    target: tuple[TargetCard, ...]
    normalisation: Normalisation
    pixels: Pixels
    notes: tuple[str, ...]
    fingerprints: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the network tells apart: classes, or channels of values."""
        return tuple(channel.name for channel in self.target) or self.grammar.names


def load_data(
    config: TrainConfig, pairs: Sequence[Pair], parent: Card | None = None
) -> TrainingData:
    """Open, check and prepare the pairs that a run learns from.

    Parameters
    ----------
    config : TrainConfig
        Dimensions, label meaning, weights, normalisation, share to hold out.
    pairs : sequence of (image, labels)
        Pictures, arrays or paths; in regression an image takes the place of the labels. A 2-D
        run takes every plane of a stack.
    parent : Card, optional
        The model to go on from. Its label values are kept where these labels hold no others, and
        the scale of its target where the channels are as many.

    Raises
    ------
    InputError
        U101 without pairs, U102 when shapes differ, U105 to U111 for labels that cannot be
        used, U119 when the images differ in channels.
    """
    planes = open_planes(config, pairs)
    channels = planes.channels
    how, notes = _normalisation(config, planes.each)
    grammar, class_weights = NO_CLASSES, np.ones(0)
    if config.labels.kind == "regression":
        sources = [_value_source(p, config, how) for p in planes.each]
    else:
        grammar = _recognise(planes.each, config, parent)
        class_weights = _weigh_classes(planes.each, config, grammar)
        sources = [_class_source(p, config, how, grammar, class_weights) for p in planes.each]
    fingerprints = tuple(_fingerprint(s) for s in sources)
    train, validation, split_note = hold_out(_labelled(sources), config.validation, config.seed)
    target: tuple[TargetCard, ...] = ()
    if config.labels.kind == "regression":
        target = _known_target(parent, len(train[0].truth)) or measure_target(train)
        train, validation = ([normalise(s, target) for s in part] for part in (train, validation))
    return TrainingData(
        train=tuple(train),
        validation=tuple(validation),
        channels=channels,
        grammar=grammar,
        class_weights=class_weights,
        target=target,
        normalisation=how,
        pixels=planes.pixels,
        notes=(*grammar.notes, *planes.notes, *notes, split_note),
        fingerprints=fingerprints,
    )


def _labelled(sources: Sequence[Source]) -> list[Source]:
    found = [source for source in sources if source.weights.any()]
    if not found:
        remedy = "label pixels where the image is finite, or name another ignored value"
        raise InputError("U105", "no pixel is labelled", remedy)
    return found


def _normalisation(
    config: TrainConfig, planes: Sequence[Plane]
) -> tuple[Normalisation, tuple[str, ...]]:
    """Return how grey values are normalised, with a note where the images decide."""
    if config.normalisation != "auto":
        return config.normalisation, ()
    how = choose_normalisation([plane.image for plane in planes])
    why = "their tails are heavy" if how == "percentile" else "their tails are light"
    return how, (f"grey values are normalised by {how}: {why}",)


def _recognise(planes: Sequence[Plane], config: TrainConfig, parent: Card | None) -> Grammar:
    """Find out what label values mean; to a parent with the same kind of labels, as before."""
    found = recognise([plane.truth for plane in planes], config.labels)
    if parent is None or parent.kind != config.labels.kind:
        return found
    values = tuple(entry.value for entry in parent.classes)
    if not set(found.values) <= set(values):
        return found
    return replace(found, values=values, names=tuple(entry.name for entry in parent.classes))


def _known_target(parent: Card | None, n: int) -> tuple[TargetCard, ...]:
    return parent.target if parent is not None and len(parent.target) == n else ()


def _weigh_classes(
    planes: Sequence[Plane], config: TrainConfig, grammar: Grammar
) -> NDArray[np.float64]:
    counts = np.sum([class_counts(p.truth, grammar, config.labels) for p in planes], axis=0)
    return balance(counts) if config.weights.balance_classes else np.ones(len(counts))


def _class_source(
    plane: Plane,
    config: TrainConfig,
    how: Normalisation,
    grammar: Grammar,
    class_weights: NDArray[np.float64],
) -> Source:
    targets = make_targets(plane.truth, grammar, config.labels, config.weights, class_weights)
    return _source(plane, how, targets.classes.astype(np.uint16), targets.weights)


def _value_source(plane: Plane, config: TrainConfig, how: Normalisation) -> Source:
    return _source(plane, how, *read_values(plane.truth, config.labels))


def _source(
    plane: Plane, how: Normalisation, truth: NDArray[np.generic], weights: NDArray[np.float32]
) -> Source:
    """Normalise the image; its pixels that are not finite are ignored."""
    intensity = measure_intensity(plane.image, how)
    raw = plane.image[(slice(None),) * len(plane.image.shape)].astype(np.float32)
    finite = np.isfinite(raw).all(axis=0)
    return Source(
        image=intensity.apply(raw),
        truth=truth,
        weights=np.where(finite, weights, 0).astype(np.float32),
        name=plane.name,
    )


def _fingerprint(source: Source) -> str:
    digest = hashlib.sha256()
    for array in (source.image, source.truth):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
