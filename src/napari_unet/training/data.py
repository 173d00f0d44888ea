"""From pairs of image and labels to what training needs: checked, normalised, weighted, split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.axes import spatial_shape, views
from napari_unet.arrays.intensity import measure_intensity
from napari_unet.arrays.labels import open_labels_array
from napari_unet.arrays.source import as_picture, with_channels
from napari_unet.config import InputError
from napari_unet.targets.balance import balance
from napari_unet.targets.grammar import recognise
from napari_unet.targets.targets import class_counts, make_targets
from napari_unet.training.augment import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.axes import Picture, View
    from napari_unet.config import TrainConfig
    from napari_unet.targets.grammar import Grammar

Pair = tuple[Any, Any]  # image and labels: Pictures, arrays or paths
SMALLEST_HELD_OUT = 16  # pixels along the axis that is cut when a single image is split


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run learns from: `train` and `validation` images, and what was found in them."""

    train: tuple[Source, ...]
    validation: tuple[Source, ...]
    channels: int
    grammar: Grammar
    class_weights: NDArray[np.float64]
    spacing: tuple[float, ...] | None
    notes: tuple[str, ...]
    fingerprints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Plane:
    """One (C, *S) view of an image with its labels (*S)."""

    image: View
    labels: NDArray[np.integer[Any]]
    name: str


def load_data(
    config: TrainConfig, pairs: Sequence[Pair], known: Grammar | None = None
) -> TrainingData:
    """Open, check and prepare the pairs that a run learns from.

    Parameters
    ----------
    config : TrainConfig
        Dimensions, label meaning, weights, normalisation, share to hold out.
    pairs : sequence of (image, labels)
        Pictures, arrays or paths. A 2-D run takes every plane of a stack.
    known : Grammar, optional
        The label values of a parent model: they are kept where these labels hold no others.

    Raises
    ------
    InputError
        U101 without pairs, U102 when shapes differ, U105 to U111 for labels that cannot be
        used, U119 when the images differ in channels.
    """
    if not pairs:
        raise InputError("U101", "no image and labels", "give at least one pair")
    ndim = config.model.ndim
    opened = [_open_pair(image, labels, ndim) for image, labels in pairs]
    planes = [plane for image, labels in opened for plane in _planes(image, labels, ndim)]
    channels = _channels(planes)
    grammar = _join(recognise([p.labels for p in planes], config.labels), known)
    counts = np.sum([class_counts(p.labels, grammar, config.labels) for p in planes], axis=0)
    class_weights = balance(counts) if config.weights.balance_classes else np.ones(len(counts))
    sources = [_source(p, config, grammar, class_weights) for p in planes]
    train, validation, split_note = _split(
        [s for s in sources if s.weights.any()], config.validation, config.seed
    )
    return TrainingData(
        train=tuple(train),
        validation=tuple(validation),
        channels=channels,
        grammar=grammar,
        class_weights=class_weights,
        spacing=opened[0][0].spacing,
        notes=(*grammar.notes, *_stack_note(opened, planes, ndim), split_note),
        fingerprints=tuple(_fingerprint(s) for s in sources),
    )


def _join(found: Grammar, known: Grammar | None) -> Grammar:
    if known is None or not set(found.values) <= set(known.values):
        return found
    return replace(found, values=known.values, names=known.names)


def _open_pair(image: Any, labels: Any, ndim: int) -> tuple[Picture, Picture]:
    picture = as_picture(image, ndim, name="image")
    truth = as_picture(labels, ndim, labels=True, name="labels")
    if "C" not in picture.axes and picture.data.shape[1:] == truth.data.shape:
        picture = with_channels(picture, 0)  # only so do the labels fit
    found, expected = _extent(truth), _extent(picture)
    if found != expected:
        hint = "crop the image or choose the labels drawn on it"
        if sorted(found) == sorted(expected):
            hint = "it looks as if the axes are swapped: transpose one of them"
        raise InputError(
            "U102",
            f"labels {_times(found)} ({truth.name}) do not match image {_times(expected)} "
            f"({picture.name})",
            hint,
        )
    return picture, truth


def _extent(picture: Picture) -> tuple[int, ...]:
    """Shape without the channel axis."""
    return tuple(n for n, a in zip(picture.data.shape, picture.axes, strict=True) if a != "C")


def _times(shape: Sequence[int]) -> str:
    return "x".join(str(n) for n in shape)


def _planes(image: Picture, labels: Picture, ndim: int) -> list[_Plane]:
    found = []
    for view, truth in zip(views(image, ndim), views(labels, ndim), strict=True):
        values = open_labels_array(truth[(slice(None),) * (ndim + 1)][0], name=labels.name)
        place = "".join(f"[{index}]" for index in view.lead)
        found.append(_Plane(view, np.asarray(values), f"{image.name}{place}"))
    return found


def _channels(planes: Sequence[_Plane]) -> int:
    counts = {plane.image.shape[0]: plane.name for plane in planes}
    if len(counts) > 1:
        words = ", ".join(f"{name} has {n}" for n, name in counts.items())
        raise InputError("U119", f"images differ in channels: {words}", "use images of one kind")
    return next(iter(counts))


def _source(
    plane: _Plane, config: TrainConfig, grammar: Grammar, class_weights: NDArray[np.float64]
) -> Source:
    """Normalise the image, make the targets; pixels that are not finite are ignored."""
    intensity = measure_intensity(plane.image, config.normalisation)
    raw = plane.image[(slice(None),) * len(plane.image.shape)].astype(np.float32)
    targets = make_targets(plane.labels, grammar, config.labels, config.weights, class_weights)
    finite = np.isfinite(raw).all(axis=0)
    return Source(
        image=intensity.apply(raw),
        classes=targets.classes.astype(np.uint16),
        weights=np.where(finite, targets.weights, 0).astype(np.float32),
        name=plane.name,
    )


def _split(
    sources: Sequence[Source], share: float, seed: int
) -> tuple[list[Source], list[Source], str]:
    """Hold out whole images where there are several, else the end of the only one."""
    if not share:
        return list(sources), [], "nothing is held out: scores are those of the training images"
    if len(sources) > 1:
        order = np.random.default_rng(seed).permutation(len(sources))
        held = set(order[: max(1, round(share * len(sources)))].tolist())
        train = [s for k, s in enumerate(sources) if k not in held]
        validation = [s for k, s in enumerate(sources) if k in held]
        if train and _classes(train) >= _classes(validation):
            return train, validation, f"{len(held)} of {len(sources)} images are held out"
        return list(sources), [], "too few images with every class to hold any out"
    (only,) = sources
    axis = int(np.argmax(only.classes.shape))
    at = round((1 - share) * only.classes.shape[axis])
    parts = [_part(only, axis, slice(None, at)), _part(only, axis, slice(at, None))]
    large = only.classes.shape[axis] - at >= SMALLEST_HELD_OUT
    if large and parts[1].weights.any() and _classes(parts[:1]) >= _classes(parts[1:]):
        words = f"the last {share:.0%} of the image along its longest axis is held out"
        return parts[:1], parts[1:], words
    return [only], [], "the image is too small to hold any of it out"


def _classes(sources: Sequence[Source]) -> set[int]:
    return {int(v) for s in sources for v in np.unique(s.classes[s.weights > 0])}


def _part(source: Source, axis: int, along: slice) -> Source:
    where = (slice(None),) * axis + (along,)
    return replace(
        source,
        image=source.image[(slice(None), *where)],
        classes=source.classes[where],
        weights=source.weights[where],
    )


def _stack_note(
    opened: Sequence[tuple[Picture, Picture]], planes: Sequence[_Plane], ndim: int
) -> tuple[str, ...]:
    if len(planes) == len(opened):
        return ()
    shape = _times(spatial_shape(opened[0][0], ndim))
    return (f"{len(planes)} planes of {shape} pixels are learned one by one (ndim={ndim})",)


def _fingerprint(source: Source) -> str:
    digest = hashlib.sha256()
    for array in (source.image, source.classes):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
