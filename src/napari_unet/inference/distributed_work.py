"""What a worker process does for a distributed prediction: it fills a share of the tiles.

It opens the model, the image and the result by their paths, keeps them open from share to share,
and writes whole chunks. Who runs the prediction keeps the ledger.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_unet.config import InputError, ModelFileError
from napari_unet.events import Failed, Noted
from napari_unet.inference.canvas import Canvas
from napari_unet.inference.cluster import cores_of
from napari_unet.inference.filling import Filling
from napari_unet.inference.ledger import Ledger
from napari_unet.inference.model import open_model
from napari_unet.inference.outputs import Outputs
from napari_unet.inference.passes import Passes
from napari_unet.inference.task import make_task, open_image

if TYPE_CHECKING:
    from napari_unet.config import PredictConfig
    from napari_unet.inference.grid import Cell
    from napari_unet.inference.planned import Plan


@dataclass(frozen=True, slots=True)
class Job:
    """What all shares of a prediction have in common.

    Parameters
    ----------
    model : str
        Folder of the model.
    checksum : str
        Of its card.
    image, place : str
        Paths of the image and of the zarr group that holds the arrays.
    shape : tuple of int
        Of the image, all axes.
    config : PredictConfig
        With its outputs, and as many threads as a worker may use.
    plan : Plan
        How the tiles are computed.
    """

    model: str
    checksum: str
    image: str
    place: str
    shape: tuple[int, ...]
    config: PredictConfig
    plan: Plan


@dataclass(frozen=True, slots=True)
class Share:
    """The tiles that a worker fills in one go, by their cells in the grid."""

    job: Job
    cells: tuple[Cell, ...]

    def __str__(self) -> str:
        return "tile " + "-".join(map(str, self.cells[0]))


def fill(share: Share) -> tuple[str, ...] | Failed:
    """Compute and write the tiles of a share; return what the user should know.

    Bad input is returned, not raised: it has to survive the way back.
    """
    try:
        return tuple(_fill(share))
    except InputError as error:
        return Failed(error.code, error.what, error.remedy)


def check_aligned(canvas: Canvas) -> None:
    """Refuse tiles that share a chunk: of two processes that write to it, one would lose.

    Raises
    ------
    InputError
        U151 with the numbers.
    """
    grid, ones = canvas.task.grid, (1,) * canvas.task.ndim
    for name, array in canvas.arrays.items():
        stride = canvas.strides.get(name.removeprefix("attention/"), ones)
        units = (array.shards or array.chunks)[-len(stride) :]
        for edge, n, s, unit in zip(grid.tile, grid.region.shape, stride, units, strict=True):
            if edge < n and edge % (s * unit):
                raise InputError(
                    "U151",
                    f"tiles of {edge} pixels share the chunks of {name}, {s * unit} pixels long",
                    "predict without workers, or with other tiles into a new result",
                )


def _fill(share: Share) -> list[str]:
    canvas, passes = _open(share.job)
    done = np.ones(canvas.task.grid.shape, bool)
    for cell in share.cells:
        done[cell] = False
    notes = []
    with closing(Filling(canvas, Ledger(canvas.task.grid, done), passes).run()) as events:
        for event in events:
            if isinstance(event, Noted):
                notes.append(event.text)
            if not _is_wanted():
                break
    return notes


def _is_wanted() -> bool:
    """Whether someone still waits for what this worker does: dask ends no task that runs."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:  # not in a worker
        return True
    task = worker.state.tasks.get(worker.get_current_task())
    return task is not None and task.state == "executing"


@lru_cache(maxsize=1)  # the one prediction that this process works for; its model stays loaded
def _open(job: Job) -> tuple[Canvas, Passes]:
    torch.set_num_threads(job.config.threads or cores_of(1))
    model = open_model(job.model, job.config.device)
    if model.card.checksum != job.checksum:
        what = f"the model in {job.model} is another one here"
        raise ModelFileError("U141", what, "give all workers the same folder")
    picture = open_image(job.image, model)
    if tuple(picture.data.shape) != job.shape:
        what = (
            f"{job.image} is {tuple(picture.data.shape)} here, {job.shape} where it was asked for"
        )
        raise InputError("U102", what, "give all workers the same file")
    task = make_task(model, picture, job.config, job.plan)
    outputs = Outputs(job.place, job.config.outputs, resume=True)
    canvas = Canvas(task, outputs)
    canvas.create()
    check_aligned(canvas)
    return canvas, Passes(task)
