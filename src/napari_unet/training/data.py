"""From pairs of image and labels to what training needs: checked, normalised, weighted, split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.arrays.intensity import choose_normalisation, measure_intensity
from napari_unet.arrays.resampled import Resampled
from napari_unet.config import InputError
from napari_unet.library.card import class_cards
from napari_unet.library.split import SplitCard, follow_images, place_boxes, sign
from napari_unet.models.geometry import measure
from napari_unet.targets.balance import balance
from napari_unet.targets.grammar import Grammar, recognise
from napari_unet.targets.kept import read_set
from napari_unet.targets.targets import make_targets
from napari_unet.targets.threads import map_in_threads
from napari_unet.targets.values import read_values
from napari_unet.training.augment import Source
from napari_unet.training.holding_out import hold_out
from napari_unet.training.pairs import open_planes
from napari_unet.training.plan import planned_model
from napari_unet.training.scaling import measure_target, normalise
from napari_unet.training.scarcity import tell_scarce
from napari_unet.training.splitting import part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.intensity import Normalisation
    from napari_unet.config import TrainConfig
    from napari_unet.library.card import Card, ClassCard, TargetCard
    from napari_unet.targets.targets import Reading
    from napari_unet.training.pairs import Pair, Plane
    from napari_unet.training.pixels import Pixels

NO_CLASSES = Grammar((), ())


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run learns from, and what was found in it.

    `split` says where the held-out pixels are; `shapes` (*S) are those of all labelled images. Of
    labels, `grammar` says what their values mean and `classes` what they are called; of a
    regression both are empty, and `target` holds mean and spread of each channel.
    """

    train: tuple[Source, ...]
    validation: tuple[Source, ...]
    split: SplitCard
    shapes: tuple[tuple[int, ...], ...]
    channels: int
    grammar: Grammar
    classes: tuple[ClassCard, ...]
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
    config: TrainConfig,
    pairs: Sequence[Pair],
    parent: Card | None = None,
    split: SplitCard | None = None,
    *,
    keep_network: bool = True,
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
        The model to go on from. Its label values are kept where these labels hold no others, the
        scale of its target where the channels are as many, and what it held out of these images.
    split : SplitCard, optional
        What is held out: of the images that it names, wherever they stand now, else by the numbers
        of pairs and planes. Without one it is decided here.
    keep_network : bool
        The network of `config` is that of the parent: its shape is not planned.

    Raises
    ------
    InputError
        U101 without pairs, U102 when shapes differ, U105 to U111 for labels that cannot be
        used, U118 when a split belongs to other images, U119 when the images differ in channels.
    """
    config = _with_kind(config, parent)
    planes = open_planes(config, pairs)
    how, notes = _normalisation(config, planes.each)
    grammar, class_weights = NO_CLASSES, np.ones(0)
    classes: tuple[ClassCard, ...] = ()
    if config.labels.kind == "regression":
        sources = [_value_source(p, config, how) for p in planes.each]
    else:
        grammar, classes = _recognise(planes.each, config, parent)
        class_weights, targets = _targets(planes.each, config, grammar)
        sources = [_source(p, how, *t) for p, t in zip(planes.each, targets, strict=True)]
    digests = [_digest(s) for s in sources]
    labelled = _labelled(_shared(sources, config, len(pairs)))
    scarce = tell_scarce(labelled, classes)
    shapes = tuple(source.weights.shape for source in labelled)
    kept = keep_network and parent is not None
    model = config.model if kept else planned_model(config, shapes, planes.pixels.spacing)
    images = {(s.pair, s.lead): image for s, (image, _) in zip(sources, digests, strict=True)}
    known = place_boxes(split, images) if split else _known_split(config, parent, images)
    geometry = measure(model)
    parted = part(labelled, known, geometry) if known else hold_out(labelled, config, geometry)
    train, validation = list(parted.train), list(parted.validation)
    target: tuple[TargetCard, ...] = ()
    if config.labels.kind == "regression":
        target = _known_target(parent, len(train[0].truth)) or measure_target(train)
        train, validation = ([normalise(s, target) for s in some] for some in (train, validation))
    return TrainingData(
        train=tuple(train),
        validation=tuple(validation),
        split=sign(parted.card, images),
        shapes=shapes,
        channels=planes.channels,
        grammar=grammar,
        classes=classes,
        class_weights=class_weights,
        target=target,
        normalisation=how,
        pixels=planes.pixels,
        notes=(*grammar.notes, *scarce, *planes.notes, *notes, parted.card.words),
        fingerprints=tuple(both for _, both in digests),
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


def _with_kind(config: TrainConfig, parent: Card | None) -> TrainConfig:
    """Read labels as the parent read them, where their kind is to be found out."""
    if config.labels.kind != "auto" or parent is None or parent.kind == "regression":
        return config
    labels = config.labels.model_copy(update={"kind": parent.kind})
    return config.model_copy(update={"labels": labels})


def _recognise(
    planes: Sequence[Plane], config: TrainConfig, parent: Card | None
) -> tuple[Grammar, tuple[ClassCard, ...]]:
    """Find out what label values mean; to a parent with the same kind of labels, as before."""
    found = recognise([plane.truth for plane in planes], config.labels)
    before: tuple[ClassCard, ...] = ()
    if parent is not None and parent.kind == found.kind:
        before = parent.classes
        values = tuple(entry.value for entry in before)
        if set(found.values) <= set(values):
            names = tuple(entry.name for entry in before)
            found = replace(found, values=values, names=names)
    classes = class_cards(found.values, found.names, config.labels.table, before)
    return replace(found, names=tuple(each.name for each in classes)), classes


def _shared(sources: Sequence[Source], config: TrainConfig, n_pairs: int) -> Sequence[Source]:
    """Give each source the share of its pair; raises InputError U151 if there are not as many."""
    if config.shares is None:
        return sources
    if len(config.shares) != n_pairs:
        raise InputError(
            "U151",
            f"{len(config.shares)} shares for {n_pairs} pairs of image and labels",
            "give one for each pair",
        )
    return [replace(source, share=config.shares[source.pair]) for source in sources]


def _known_split(
    config: TrainConfig, parent: Card | None, images: Mapping[tuple[int, tuple[int, ...]], str]
) -> SplitCard | None:
    """Return what the parent held out of these images, wherever they stand now."""
    if parent is None or not config.validation or config.fold is not None:
        return None
    stored = parent.training.get("split")
    return follow_images(SplitCard.model_validate(stored), images) if stored else None


def _known_target(parent: Card | None, n: int) -> tuple[TargetCard, ...]:
    return parent.target if parent is not None and len(parent.target) == n else ()


def _targets(
    planes: Sequence[Plane], config: TrainConfig, grammar: Grammar
) -> tuple[NDArray[np.float64], list[tuple[NDArray[np.uint16], NDArray[np.float32]]]]:
    """Return the weight of each class over all planes; classes and weights of each plane."""
    truths = [plane.truth for plane in planes]
    readings = read_set(truths, grammar, config.labels, config.weights, config.threads)
    class_weights = balance(np.sum([reading.counts for reading in readings], axis=0))
    if not config.weights.balance_classes:
        class_weights = np.ones(len(class_weights))

    def make(reading: Reading) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        made = make_targets(reading, config.weights, class_weights)
        return made.classes, made.weights

    return class_weights, map_in_threads(make, readings, config.threads)


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
        pair=plane.pair,
        lead=plane.image.lead,
        scale=plane.image.scale if isinstance(plane.image, Resampled) else (),
    )


def _digest(source: Source) -> tuple[str, str]:
    """Return the digests of the image, and of image and truth."""
    digest = hashlib.sha256()
    found = []
    for array in (source.image, source.truth):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
        found.append(digest.hexdigest())
    return found[0], found[1]
