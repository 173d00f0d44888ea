"""The tile loop, as a generator of events: it fills what it is given and says where."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from napari_unet.arrays.axes import spatial_shape, views
from napari_unet.arrays.intensity import measure_intensity
from napari_unet.arrays.source import as_picture
from napari_unet.arrays.writing import check_apart
from napari_unet.config import InputError, PredictConfig
from napari_unet.events import Finished, Noted, Started, TileDone
from napari_unet.inference.canvas import Canvas, edges
from napari_unet.inference.model import Model, open_model
from napari_unet.inference.outputs import Outputs
from napari_unet.models.geometry import gate_strides
from napari_unet.tiling import AUTO_TILE, Tile, order_tiles, plan_tiles, split_tile

if TYPE_CHECKING:
    from collections.abc import Generator, MutableMapping, Sequence
    from pathlib import Path

    from napari_unet.arrays.axes import Picture, View
    from napari_unet.arrays.intensity import Intensity
    from napari_unet.events import PredictEvent


def predict(
    model: Model | str | Path,
    image: Any,
    out: str | Path | MutableMapping[str, Any],
    config: PredictConfig | None = None,
    *,
    focus: Sequence[float] | None = None,
) -> Generator[PredictEvent, None, None]:
    """Apply a model to an image of any size, tile by tile; tiling does not change the result.

    Parameters
    ----------
    model : Model, str or Path
        An opened model or its folder.
    image : array, path or Picture
        Spatial axes last (and a channel axis where the model wants channels); leading axes
        such as time are looped over.
    out : str, Path or MutableMapping
        `x.tif`, `x.zarr` or a mapping; see `Outputs`. Arrays are "classes" (*lead, *S),
        "probabilities" (K, *lead, *S) float32, "values" (*lead, *S), or (K, *lead, *S) with K > 1
        channels, float32 in the units of the target, and "attention/<gate>" (*lead, *grid)
        float32, whose cell j covers pixels j * stride to (j + 1) * stride along each axis.
    config : PredictConfig, optional
        Outputs (none: classes, or values of a regression model), tile size, device.
    focus : sequence of float, optional
        A point in pixels: tiles near it come first.

    Raises
    ------
    InputError
        Before anything is written, for an image or a model that cannot be used. Only that a
        later plane of a stack has no finite pixel (U114) is found when its turn comes.
    """
    config = config or PredictConfig()
    if config.threads:
        torch.set_num_threads(config.threads)
    if not isinstance(model, Model):
        model = open_model(model, config.device)
    config = _choose_outputs(config, model)
    outputs = Outputs(out, config.outputs)
    check_apart(outputs.path, image)
    picture = _open_image(image, model)
    ndim, normalisation = model.card.model.ndim, model.card.normalisation
    planes = views(picture, ndim)
    intensity = measure_intensity(planes[0], normalisation)
    plan = _plan(spatial_shape(picture, ndim), config, model, focus)
    canvas = Canvas(model, config, outputs, picture)
    canvas.create()
    clock = _Clock(len(plan) * len(planes))
    yield Started(clock.total)
    for number, plane in enumerate(planes, start=1):
        if number > 1:
            intensity = measure_intensity(plane, normalisation)
        n, plan = len(plan), (yield from _fill(canvas, plane, intensity, plan, clock))
        clock.total += (len(planes) - number) * (len(plan) - n)
    outputs.close()
    yield Finished(outputs.path, {"tiles": clock.done, "elapsed_s": round(clock.elapsed_s, 3)})


@dataclass
class _Clock:
    """Counts tiles and estimates the time that is left."""

    total: int
    done: int = 0
    started_s: float = 0.0
    elapsed_s: float = 0.0

    def tick(self) -> float:
        """Count one tile; return the estimate of seconds to go."""
        self.done += 1
        self.elapsed_s = time.perf_counter() - self.started_s
        return self.elapsed_s / self.done * (self.total - self.done)


def _fill(
    canvas: Canvas, plane: View, intensity: Intensity, plan: list[Tile], clock: _Clock
) -> Generator[PredictEvent, None, list[Tile]]:
    """Run the tiles of one plane; when memory runs out, halve those that are left.

    Returns the plan for the planes to come, whose tiles are no larger than what went well here.
    """
    clock.started_s = clock.started_s or time.perf_counter()
    todo = list(plan)
    while todo:
        if not canvas.fill(plane, intensity, todo[0]):
            n, todo = len(todo), _halve(todo, canvas.model)
            plan = _halve(plan, canvas.model)
            clock.total += len(todo) - n
            yield Noted(f"out of memory: going on with tiles of {edges(todo[0])} pixels")
            continue
        write = todo.pop(0).write
        left_s = clock.tick()
        start = (*plane.lead, *(w.start for w in write))
        stop = (*(k + 1 for k in plane.lead), *(w.stop for w in write))
        yield TileDone(clock.done, clock.total, start, stop, left_s)
    return plan


def _halve(tiles: Sequence[Tile], model: Model) -> list[Tile]:
    return [part for tile in tiles for part in split_tile(tile, model.geometry)]


def _open_image(image: Any, model: Model) -> Picture:
    config = model.card.model
    picture = as_picture(image, config.ndim, channels=config.in_channels, name="image")
    found = views(picture, config.ndim)[0].shape[0]
    if found != config.in_channels:
        raise InputError(
            "U119",
            f"model {model.card.name!r} wants {config.in_channels} channel(s), "
            f"{picture.name} has {found} (axes {picture.axes})",
            "choose an image like those it was trained on",
        )
    return picture


def _choose_outputs(config: PredictConfig, model: Model) -> PredictConfig:
    """Return `config` with the outputs that the model gives by nature, where none are named.

    Raises InputError U151 for outputs that it does not have.
    """
    own = {"values"} if model.card.target else {"classes", "probabilities"}
    wanted = config.outputs or (("values",) if model.card.target else ("classes",))
    missing = [name for name in wanted if name not in {*own, "attention"}]
    if missing:
        what = "values" if model.card.target else "classes"
        raise InputError(
            "U151",
            f"model {model.card.name!r} tells {what}: it has no {', '.join(missing)}",
            f"choose from {', '.join(sorted(own))}",
        )
    if "attention" in wanted and not gate_strides(model.card.model):
        raise InputError(
            "U151",
            f"{model.card.model.architecture!r} has no attention gates",
            "choose a model with architecture 'attention', or other outputs",
        )
    return config.model_copy(update={"outputs": wanted})


def _plan(
    shape: tuple[int, ...], config: PredictConfig, model: Model, focus: Sequence[float] | None
) -> list[Tile]:
    size = AUTO_TILE[len(shape)] if config.tile == "auto" else config.tile
    tiles = plan_tiles(shape, size, model.geometry)
    if not focus:
        return tiles
    if len(focus) < len(shape):
        what = f"focus {tuple(focus)} has too few numbers"
        raise InputError("U150", what, f"give one per spatial axis: {len(shape)}")
    return order_tiles(tiles, focus[-len(shape) :])
