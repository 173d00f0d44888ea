"""Predicting an image of any size, as a generator of events: it fills what it is given."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from napari_unet.arrays.axes import result_axes
from napari_unet.arrays.writing import check_apart
from napari_unet.config import InputError, PredictConfig
from napari_unet.events import Finished, Noted, Started
from napari_unet.inference.canvas import HIDDEN, Canvas
from napari_unet.inference.filling import Filling
from napari_unet.inference.grid import check_point
from napari_unet.inference.ledger import begin_ledger, open_ledger, read_plan
from napari_unet.inference.model import Model, open_model
from napari_unet.inference.objects import number_objects
from napari_unet.inference.outputs import COMPLETE, Outputs
from napari_unet.inference.passes import Passes
from napari_unet.inference.task import choose_outputs, made_of, make_task, open_image
from napari_unet.inference.truth import Truth

if TYPE_CHECKING:
    from collections.abc import Generator, MutableMapping, Sequence
    from pathlib import Path

    from napari_unet.arrays.axes import Picture
    from napari_unet.events import PredictEvent
    from napari_unet.inference.ledger import Ledger
    from napari_unet.inference.task import Task


def predict(
    model: Model | str | Path,
    image: Any,
    out: str | Path | MutableMapping[str, Any],
    config: PredictConfig | None = None,
    *,
    focus: Sequence[float] | None = None,
    resume: bool = False,
    truth: Any = None,
) -> Generator[PredictEvent, Sequence[float] | None, None]:
    """Apply a model to an image of any size, piece by piece; the pieces do not change the result.

    Close the generator to stop: every finished tile is kept, and `resume` computes the others.
    Send it a point, in pixels of the image, to have the tiles near it next.

    Parameters
    ----------
    model : Model, str or Path
        An opened model or its folder.
    image : array, path or Picture
        Spatial axes last (and a channel axis where the model wants channels); leading axes
        such as time are looped over.
    out : str, Path or MutableMapping
        `x.zarr`, `x.ome.zarr`, `x.tif` or a mapping; see `Outputs`. Arrays are of the size of the
        region, which their attribute `offset` places in the image: "classes" (*lead, *S),
        "probabilities" (K, *lead, *S) float32, "values" (*lead, *S), or (K, *lead, *S) with K > 1
        channels, float32 in the units of the target, "instances" (*lead, *S) uint32,
        "uncertainty" and "loss" (*lead, *S) float32, and "attention/<gate>" (*lead, *grid)
        float32, whose cell j covers `stride` pixels along each axis from offset + j * stride on.
    config : PredictConfig, optional
        Outputs (none: classes, or values of a regression model), region, tiles, memory, device.
    focus : sequence of float, optional
        A point in pixels of the image: tiles near it come first.
    resume : bool
        Go on with an unfinished result at `out`; begin where there is none.
    truth : array, path or Picture, optional
        Labels or target values: what the loss is measured against.

    Raises
    ------
    InputError
        Before anything is written, for an image or a model that cannot be used, and U151 for a
        result that was begun with other settings. Only that a later plane of a stack has no
        finite pixel (U114) is found when its turn comes.
    """
    config = config or PredictConfig()
    if config.threads:
        torch.set_num_threads(config.threads)
    if not isinstance(model, Model):
        model = open_model(model, config.device)
    config = choose_outputs(config, model)
    outputs = Outputs(out, config.outputs, resume=resume)
    check_apart(outputs.path, image)
    picture = open_image(image, model)
    made = made_of(model, picture, config)
    known = _open_truth(truth, model, picture) if "loss" in config.outputs else None
    if known is not None:
        made["truth"] = known.name
    outputs.check_axes(result_axes(picture, model.card.model.ndim), picture.name)
    plan = read_plan(outputs.group, made, outputs.path) if outputs.resumed else None
    task = make_task(model, picture, config, plan, interactive=focus is not None)
    there = resume and outputs.is_there(made)
    if there or (plan is not None and outputs.group.attrs.get(COMPLETE)):
        yield _finished(outputs, task, 0, 0.0)
        return
    canvas, passes = Canvas(task, outputs, known), Passes(task)
    if focus:
        check_point(focus, task.ndim)
    passes.intensity(tuple(w.start for w in task.grid.region.lead))
    with outputs.storing():
        if plan is None:
            ledger = begin_ledger(outputs.group, task.grid, task.plan, made)
        else:
            ledger = open_ledger(outputs.group, task.grid)
        canvas.create()
    filling = Filling(canvas, ledger, passes)
    if focus:
        filling.queue.aim(focus)
    clock = filling.clock
    yield from filling.say(Started(clock.total))
    yield from _note(filling, task)
    yield from filling.run()
    yield from _complete(canvas, ledger)
    yield _finished(outputs, task, clock.done - clock.before, clock.elapsed_s)


def _note(filling: Filling, task: Task) -> Generator[PredictEvent, Sequence[float] | None, None]:
    """Tell what the user should know of the device and of the plan."""
    for words in (*task.model.notes, str(task.plan)):
        yield from filling.say(Noted(words))


def _complete(
    canvas: Canvas, ledger: Ledger
) -> Generator[PredictEvent, Sequence[float] | None, None]:
    """Make what is made of all tiles: objects, pyramids, files."""
    names, outputs = canvas.task.config.outputs, canvas.outputs
    if "instances" in names:
        with outputs.storing():
            for words in () if ledger.numbered else number_objects(canvas):
                yield Noted(words)
            ledger.mark_numbered()
            if "classes" not in names:
                outputs.remove(HIDDEN)
    for words in outputs.finish():
        yield Noted(words)
    outputs.close()


def _finished(outputs: Outputs, task: Task, computed: int, elapsed_s: float) -> Finished:
    summary = {
        "tiles": int(task.grid.reached().sum()),
        "computed": computed,
        "elapsed_s": round(elapsed_s, 3),
        "plan": asdict(task.plan),
    }
    return Finished(outputs.path, summary)


def _open_truth(truth: Any, model: Model, picture: Picture) -> Truth:
    if truth is None:
        raise InputError("U151", "the loss needs a truth", "give labels, or leave out the loss")
    return Truth(truth, model, picture)
