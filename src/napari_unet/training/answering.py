"""Answers of a training to what it is asked; none of them changes what it learns.

Batch statistics are settled before an answer, as before a validation. They are taken anew before
they count for anything else, so a training that was looked at ends with the same bits.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.axes import View as ImageView
from napari_unet.arrays.axes import lead_shape
from napari_unet.arrays.intensity import measure_intensity, unchanged
from napari_unet.arrays.writing import create_arrays
from napari_unet.config import InputError
from napari_unet.events import Corrected, Doubted, Noted, Previewed
from napari_unet.library.card import restore
from napari_unet.models.tiles import probabilities, run_tile, surprise
from napari_unet.tiling import tile_at
from napari_unet.training.asking import Correction, Doubts, Losses, View
from napari_unet.training.data import load_data
from napari_unet.training.record import card_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.axes import Picture
    from napari_unet.arrays.intensity import Intensity
    from napari_unet.arrays.resampled import Resampled
    from napari_unet.events import TrainEvent
    from napari_unet.tiling import Window
    from napari_unet.training.asking import Question
    from napari_unet.training.augment import Source
    from napari_unet.training.data import TrainingData
    from napari_unet.training.run import Run

    Seen = tuple[ImageView | Resampled, tuple[float, ...]]  # a plane; its pixels per one of these

SEEN_PX: Mapping[int, int] = {1: 16384, 2: 384, 3: 48}  # edge of what is shown of an image
PLACE_PX: Mapping[int, int] = {1: 1024, 2: 64, 3: 16}  # edge of a place of doubt
MOST_LOOKED_AT = 64  # windows in which doubts are looked for, spread over all images


def answer(run: Run, question: Question) -> TrainEvent:
    """Answer a question; one that cannot be answered is noted and the training goes on."""
    try:
        match question:
            case View():
                run.view = question
                return show_view(run, question)
            case Losses(out=out):
                return show_losses(run, out)
            case Doubts(pictures=pictures, count=count):
                return find_places_of_doubt(run, pictures, count)
            case Correction():
                return correct(run, question)
    except InputError as error:
        return Noted(f"{error.what}: {error.remedy}")


def show_view(run: Run, view: View) -> Previewed:
    """Predict the part of an image that is looked at."""
    ndim = run.config.model.ndim
    lead = _lead_at(view.picture, view.point, ndim)
    image, scale = _seen(run, view.picture, lead)
    point = [p / each for p, each in zip(view.point[len(lead) :], scale, strict=True)]
    window = _around(point, image.shape[1:], SEEN_PX[ndim])
    logits = _logits(run, image, measure_intensity(image, run.data.normalisation), window)
    arrays: dict[str, NDArray[Any]] = {}
    if run.data.target:
        arrays["values"] = restore(logits, run.data.target)
    else:
        shares = probabilities(logits).astype(np.float32)
        values = np.asarray(run.data.grammar.values, np.int32)
        arrays = {"classes": values[shares.argmax(axis=0)], "probabilities": shares}
    place = {"pair": view.pair, **_at(lead, [w.start for w in window], scale)}
    return Previewed("view", run.step, _write(view.out, arrays, place))


def show_losses(run: Run, out: str) -> Previewed:
    """Measure -log p of the true class, or the squared error, of what is held out."""
    path = Path(out) / f"loss-{uuid.uuid4().hex}.zarr"
    group = create_arrays(path)
    for number, source in enumerate(run.data.validation or run.data.train):
        window = tuple(slice(0, n) for n in source.weights.shape)
        logits = _logits(run, source.image, unchanged(len(source.image)), window)
        array = group.create_array(f"loss/{number}", data=_loss(run, source, logits))
        start = source.start or (0,) * len(window)
        scale = source.scale or (1.0,) * len(window)
        array.attrs.update({"pair": source.pair, **_at(source.lead, start, scale)})
    return Previewed("loss", run.step, str(path))


def _loss(run: Run, source: Source, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the loss of each pixel (*S), NaN where the truth is not known or does not count."""
    if run.data.target:
        spreads = np.asarray([each.spread for each in run.data.target], np.float32)
        wrong = (logits - source.truth) * spreads.reshape(-1, *[1] * source.weights.ndim)
        loss = (wrong**2).mean(axis=0)
    else:
        loss = surprise(logits, source.truth.astype(np.intp))
    return np.where(source.weights > 0, loss, np.nan).astype(np.float32)


def find_places_of_doubt(run: Run, pictures: Sequence[Picture], count: int) -> Doubted:
    """Find the places with the highest mean entropy, at most one in each neighbourhood.

    Raises
    ------
    InputError
        U151 of a regression, which has no probabilities.
    """
    if run.data.target:
        raise InputError("U151", "a regression does not say how sure it is", "look at the loss")
    ndim = run.config.model.ndim
    edge = PLACE_PX[ndim]
    found: list[tuple[float, tuple[int, ...]]] = []
    measured: dict[tuple[int, ...], Intensity] = {}
    for pair, lead, (image, scale), window in _spread_over(run, pictures):
        if (pair, *lead) not in measured:
            measured[pair, *lead] = measure_intensity(image, run.data.normalisation)
        shares = probabilities(_logits(run, image, measured[pair, *lead], window))
        entropy = -(shares * np.log(np.maximum(shares, 1e-12))).sum(axis=0) / np.log(len(shares))
        for block in product(*(range(0, w.stop - w.start, edge) for w in window)):
            part = tuple(slice(b, b + edge) for b in block)
            ends = zip(window, block, strict=True)
            middle = [min(w.start + b + edge // 2, w.stop - 1) for w, b in ends]
            place = (int(m * each) for m, each in zip(middle, scale, strict=True))
            found.append((float(entropy[part].mean()), (pair, *lead, *place)))
    worst = sorted(found, key=lambda place: -place[0])[:count]
    return Doubted(
        run.step, tuple(place for _, place in worst), tuple(round(doubt, 4) for doubt, _ in worst)
    )


def _spread_over(
    run: Run, pictures: Sequence[Picture]
) -> Iterator[tuple[int, tuple[int, ...], Seen, Window]]:
    """Yield windows of all images: all there are, or as many as may be, drawn by the seed."""
    ndim = run.config.model.ndim
    edge = SEEN_PX[ndim]
    places = []
    for pair, picture in enumerate(pictures):
        for lead in np.ndindex(lead_shape(picture, ndim)):
            seen = _seen(run, picture, lead)
            corners = product(*(range(0, n, edge) for n in seen[0].shape[1:]))
            places += [(pair, lead, seen, corner) for corner in corners]
    order = np.random.default_rng([run.config.seed, run.step]).permutation(len(places))
    for number in sorted(order[:MOST_LOOKED_AT]):
        pair, lead, seen, corner = places[number]
        ends = zip(corner, seen[0].shape[1:], strict=True)
        yield pair, lead, seen, tuple(slice(c, min(c + edge, n)) for c, n in ends)


def correct(run: Run, correction: Correction) -> Corrected:
    """Take other labels; what is held out stays, and so do network and optimiser.

    Raises
    ------
    InputError
        U157 where the labels hold other classes than the run tells apart; and what `load_data`
        raises.
    """
    config = run.config.model_copy(update={"normalisation": run.data.normalisation})
    data = load_data(config, correction.pairs, card_of(run), run.data.split)
    if data.names != run.data.names or data.channels != run.data.channels:
        raise InputError(
            "U157",
            f"the corrected labels hold {', '.join(data.names)}, the training tells apart "
            f"{', '.join(run.data.names)}",
            "the old labels stay; stop, and fine-tune the model with the new ones",
        )
    pixels = _changed_px(run.data, data)
    run.take_labels(replace(data, notes=run.data.notes), pixels)
    return Corrected(run.step, pixels)


def _changed_px(before: TrainingData, after: TrainingData) -> int:
    """Count the pixels that are labelled otherwise than before."""
    old, new = ({_place(s): s for s in (*d.train, *d.validation)} for d in (before, after))
    changed = 0
    for place in old.keys() | new.keys():
        a, b = old.get(place), new.get(place)
        if a is None or b is None:  # an image whose labels are new, or gone
            changed += sum(int((s.weights > 0).sum()) for s in (a, b) if s is not None)
            continue
        known, known_now = a.weights > 0, b.weights > 0
        differs = (a.truth != b.truth) & known & known_now
        changed += int(((known != known_now) | differs.reshape(-1, *known.shape).any(axis=0)).sum())
    return changed


def _place(source: Source) -> tuple[Any, ...]:
    return source.pair, source.lead, source.start, source.weights.shape


def _seen(run: Run, picture: Picture, lead: tuple[int, ...]) -> Seen:
    """Return a plane at the size of pixels that the network knows, and its scale."""
    plane = ImageView(picture, run.config.model.ndim, lead)
    image, _ = run.data.pixels.bring(picture, plane, plane)
    sizes = zip(plane.shape[1:], image.shape[1:], strict=True)
    return image, tuple(n / m for n, m in sizes)


def _at(lead: Sequence[int], start: Sequence[int], scale: Sequence[float]) -> dict[str, Any]:
    """Say where an array lies in its image, in pixels of the image."""
    offset = [first * each for first, each in zip(start, scale, strict=True)]
    return {"lead": list(lead), "offset": offset, "stride": list(scale)}


def _lead_at(picture: Picture, point: Sequence[float], ndim: int) -> tuple[int, ...]:
    sizes = lead_shape(picture, ndim)
    return tuple(int(np.clip(round(p), 0, n - 1)) for p, n in zip(point, sizes, strict=False))


def _around(point: Sequence[float], shape: Sequence[int], edge: int) -> Window:
    """Return a window of at most `edge` pixels around a point, inside of the image."""
    window = []
    for p, n in zip(point, shape, strict=True):
        size = min(edge, n)
        start = int(np.clip(round(p) - size // 2, 0, n - size))
        window.append(slice(start, start + size))
    return tuple(window)


def _logits(
    run: Run, image: ImageView | Resampled | NDArray[Any], intensity: Intensity, window: Window
) -> NDArray[np.float32]:
    """Return what the network says of a window (K, *window), after its statistics settled."""
    run.settle()
    tile = tile_at(window, image.shape[1:], run.geometry)
    return np.asarray(run_tile(run.network, image, intensity, tile, run.device), np.float32)


def _write(out: str, arrays: Mapping[str, NDArray[Any]], place: Mapping[str, Any]) -> str:
    path = Path(out) / f"view-{uuid.uuid4().hex}.zarr"
    group = create_arrays(path)
    for name, data in arrays.items():
        group.create_array(name, data=data).attrs.update(place)
    return str(path)
