"""`napari-unet predict`: a model applied to an image, or to many."""

from __future__ import annotations

import argparse
import shlex
import sys
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_unet.arrays.axes import lead_shape, result_axes, spatial_shape
from napari_unet.arrays.ome_zarr import is_zarr
from napari_unet.arrays.writing import check_apart
from napari_unet.cli.batch import FORMATS, Task, list_images, list_tasks, names_several, run_each
from napari_unet.cli.following import INTERRUPTED, follow
from napari_unet.cli.printing import print_json
from napari_unet.cli.training import read_config, read_settings
from napari_unet.config import InputError, PredictConfig, overlay
from napari_unet.events import Finished

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from napari_unet.arrays.axes import Picture
    from napari_unet.events import PredictEvent
    from napari_unet.inference.planned import Plan
    from napari_unet.library.card import Card

    Start = Callable[[Task], Generator[PredictEvent, Any, None]]

BAD_INPUT = 2
Span = tuple[int | None, int | None]


def predict(arguments: argparse.Namespace) -> int:
    """Apply a model to one image, or to several: then a failing one does not stop the others."""
    config = predict_config(arguments)
    several = names_several(arguments.image)
    tasks = _tasks(arguments, several)
    answer = sys.stdout if arguments.plan and not arguments.json else sys.stderr
    tell = partial(print, file=answer, flush=True)
    start = _starter(arguments, config)
    with closing(run_each(tasks, start, tell, alone=not several)) as stream:
        try:
            status = follow(stream, "what was done is kept")
        except KeyboardInterrupt:  # pressed twice
            status = INTERRUPTED
    failed = [task for task in tasks if task.state == "failed"]
    if arguments.json:
        print_json([task.row() for task in tasks])
    if failed:
        print(f"{len(failed)} of {len(tasks)} images failed:", file=sys.stderr)
        print(*failed, sep="\n", file=sys.stderr)
    if status and not arguments.plan:
        _tell_how_to_go_on(tasks, arguments.words)
    return status or (BAD_INPUT if failed else 0)


def predict_config(arguments: argparse.Namespace) -> PredictConfig:
    """Put file, flags and single settings together: the later win. The region comes later.

    Raises
    ------
    InputError
        U126, U150, U151 for settings that do not exist or contradict each other.
    """
    outputs = None if arguments.outputs is None else arguments.outputs.split(",")
    named = ("tile", "precision", "backend", "device", "threads")
    flags = {"outputs": outputs, "memory_gib": arguments.memory}
    flags |= {name: getattr(arguments, name) for name in named}
    given = {name: value for name, value in flags.items() if value is not None}
    stored = {} if arguments.config is None else read_config(arguments.config)
    changes = overlay(given, read_settings(arguments.set))
    config = PredictConfig.model_validate(overlay(stored, changes))
    if arguments.labels is not None and "loss" not in config.outputs:
        outputs_given = ", ".join(config.outputs) or "the default"
        what = f"--labels, and outputs {outputs_given}"
        raise InputError("U151", what, "labels are for the output loss: add it to --outputs")
    return config


def read_region(text: str) -> tuple[Span, ...]:
    """Read `0:10,512:1024,:`, a start:stop for each axis of the result; either may be left out."""
    try:
        return tuple(_span(part) for part in text.split(","))
    except ValueError as error:
        message = f"{text!r} is no list of start:stop, such as 0:10,512:1024,:"
        raise argparse.ArgumentTypeError(message) from error


def resolve_region(
    spans: Sequence[Span], axes: str, shape: Sequence[int], name: str
) -> tuple[tuple[int, int], ...]:
    """Fill in the open ends of a region.

    Parameters
    ----------
    spans : sequence of (start, stop)
        In pixels; None is the edge of the image.
    axes : str
        The letter of each axis of the result.
    shape : sequence of int
        Their sizes.
    name : str
        Of the image, for messages.

    Raises
    ------
    InputError
        U150 for more or fewer spans than axes, and for one that does not lie in the image.
    """
    if len(spans) != len(shape):
        what = f"a region of {len(spans)} axes, and {name} with {axes} {tuple(shape)}"
        raise InputError("U150", what, "give a start:stop for each axis, : for all of it")
    region = []
    for (first, last), letter, size in zip(spans, axes, shape, strict=True):
        start, stop = first or 0, size if last is None else last
        if not 0 <= start < stop <= size:
            what = f"the region {start}:{stop} along {letter} of {name}, which has {size} pixels"
            raise InputError("U150", what, f"choose a start and a stop beyond it within 0:{size}")
        region.append((start, stop))
    return tuple(region)


def _span(text: str) -> Span:
    start, colon, stop = text.partition(":")
    if not colon:
        return int(start), int(start) + 1  # one position
    return int(start) if start else None, int(stop) if stop else None


def _tasks(arguments: argparse.Namespace, several: bool) -> list[Task]:
    """Say what to predict, and where its result goes."""
    images, out = list_images(arguments.image), arguments.out
    if several:
        suffix, resume = arguments.format or FORMATS[0], arguments.resume or arguments.plan
        return list_tasks(images, out, suffix, arguments.labels, resume=resume)
    if arguments.format is not None:
        what = f"--format {arguments.format}, and one result {out}"
        raise InputError("U151", what, "leave it out: the name of the result says what is written")
    for source in filter(None, (*images, arguments.labels)):
        check_apart(out, source)
    return [Task(images[0], out, arguments.labels)]


def _starter(arguments: argparse.Namespace, config: PredictConfig) -> Start:
    """Return what begins a task, in this process or on a cluster."""
    apart = arguments.workers is not None or arguments.scheduler is not None
    return _distributed(arguments, config) if apart else _here(arguments, config)


def _here(arguments: argparse.Namespace, config: PredictConfig) -> Start:
    """Open the model once; return what begins a task."""
    from napari_unet.inference.model import open_model
    from napari_unet.inference.predict import predict
    from napari_unet.inference.task import choose_outputs, make_task, open_image

    model = open_model(arguments.model, config.device)

    def start(task: Task) -> Generator[PredictEvent, Any, None]:
        picture = _open(task.image, arguments, model.card)
        settings = _in_region(config, arguments.region, picture, model.card)
        if arguments.plan:
            picture, settings = open_image(picture, model), choose_outputs(settings, model)
            plan = make_task(model, picture, settings).plan
            return _told(task, plan)
        return predict(
            model, picture, task.out, settings, resume=arguments.resume, truth=task.labels
        )

    return start


def _told(task: Task, plan: Plan) -> Generator[PredictEvent, Any, None]:
    """Say the plan as a finished job, for which nothing was computed."""
    yield Finished(str(task.out), {"words": str(plan), "plan": asdict(plan)})


def _distributed(arguments: argparse.Namespace, config: PredictConfig) -> Start:
    """Return what begins a task on a cluster, whose workers open model and image themselves."""
    alone = {"--labels": arguments.labels, "--axes": arguments.axes, "--plan": arguments.plan}
    given = [flag for flag, value in alone.items() if value]
    if given:
        what = f"{', '.join(given)} with --workers or --scheduler"
        raise InputError("U151", what, "leave one of them out")
    from napari_unet.inference.distributed import predict_distributed
    from napari_unet.library.folders import read_card

    card = read_card(arguments.model)

    def start(task: Task) -> Generator[PredictEvent, Any, None]:
        image, settings = task.image, config
        if arguments.level:
            image = image / str(arguments.level)  # a level of an OME-Zarr by its path
            if not is_zarr(task.image):
                what = f"--level with workers, and {task.image}, which is no OME-Zarr"
                raise InputError("U151", what, "predict its level without workers")
        if arguments.region is not None:
            picture = _open(task.image, arguments, card)
            settings = _in_region(config, arguments.region, picture, card)
        return predict_distributed(
            arguments.model, image, task.out, settings,
            workers=arguments.workers, scheduler=arguments.scheduler, resume=arguments.resume,
        )  # fmt: skip

    return start


def _open(path: Path, arguments: argparse.Namespace, card: Card) -> Picture:
    """Open an image as the network wants it; pixels are read later."""
    from napari_unet.arrays.files import open_picture
    from napari_unet.arrays.source import as_picture

    model, level = card.model, arguments.level or 0
    picture = open_picture(path, ndim=model.ndim, axes=arguments.axes, level=level)
    return as_picture(picture, model.ndim, channels=model.in_channels)


def _in_region(
    config: PredictConfig, spans: Sequence[Span] | None, picture: Picture, card: Card
) -> PredictConfig:
    if spans is None:
        return config
    ndim = card.model.ndim
    shape = (*lead_shape(picture, ndim), *spatial_shape(picture, ndim))
    region = resolve_region(spans, result_axes(picture, ndim), shape, picture.name)
    return config.model_copy(update={"region": region})


def _tell_how_to_go_on(tasks: Sequence[Task], words: Sequence[str]) -> None:
    """Say which images are done, which is begun, and the command that does the rest."""
    done = sum(task.state == "done" for task in tasks)
    begun = "".join(f", {task.image} in part" for task in tasks if task.state == "begun")
    if len(tasks) > 1:
        print(f"{done} of {len(tasks)} images are done{begun}", file=sys.stderr)
    again = [*words, *([] if "--resume" in words else ["--resume"])]
    print(f"to go on: {shlex.join(['napari-unet', *again])}", file=sys.stderr)
