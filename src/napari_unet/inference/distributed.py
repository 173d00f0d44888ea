"""Predicting with several processes, on this computer or on many: the same bytes, sooner.

Workers fill shares of the tiles (see `distributed_work`); who runs the generator keeps the ledger.
What comes before and after all tiles is `predict`, which finds its work done.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil
import torch

from napari_unet.config import InputError, PredictConfig
from napari_unet.events import Failed, Finished, Noted, Started, TileDone
from napari_unet.inference.cluster import Workers, cores_of, open_cluster
from napari_unet.inference.distributed_work import Job, Share, fill
from napari_unet.inference.filling import RECENT, Clock
from napari_unet.inference.grid import Queue
from napari_unet.inference.ledger import open_ledger, read_plan
from napari_unet.inference.model import open_model
from napari_unet.inference.outputs import Outputs
from napari_unet.inference.plan import SHARE
from napari_unet.inference.planned import GIB
from napari_unet.inference.predict import predict
from napari_unet.inference.regions import choose_region
from napari_unet.inference.task import choose_outputs, made_of, make_task, open_image

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from distributed import Client

    from napari_unet.events import PredictEvent
    from napari_unet.inference.grid import Cell, Grid
    from napari_unet.inference.ledger import Ledger
    from napari_unet.inference.model import Model
    from napari_unet.inference.task import Task

    Cells = tuple[Cell, ...]
    Predicted = Generator[PredictEvent, Sequence[float] | None, None]

TRIES = 2  # how many workers may die of a tile
ENDINGS = 3  # how often all workers are started anew
NAMED = 5  # tiles in a message
SHARE_S = 1.0  # how long a share should take: much more than to hand it out


def predict_distributed(
    model: str | Path,
    image: str | Path,
    out: str | Path,
    config: PredictConfig | None = None,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    resume: bool = False,
) -> Predicted:
    """Predict as `predict` does, in several processes; the result is the same to the byte.

    Every process reads its tiles of the image, and writes whole chunks of the result: model,
    image and result are paths that all of them see. The bytes are those of a prediction in one
    process with the same plan, number of threads and kind of processor.

    A worker that dies costs time only. A tile of which two workers die is left out; the others
    are finished, and the result stays incomplete. Close the generator to stop: what is finished is
    kept, and `resume` computes the others. Send it a point, in pixels of the image, to have the
    tiles near it next.

    Parameters
    ----------
    model : str or Path
        Folder of a model.
    image : str or Path
        A file; see `open_picture`.
    out : str or Path
        `x.zarr`, `x.ome.zarr` or `x.tif`; see `Outputs`.
    config : PredictConfig, optional
        As for `predict`. `tile` "auto" means tiles, which go anywhere in any order. `memory_gib`
        is for all workers of this computer together; of a scheduler, for each. `threads` is for
        each worker; None: its share of the cores.
    workers : int, optional
        How many processes to start on this computer.
    scheduler : str, optional
        Instead, the address of a dask scheduler; see `open_cluster`.
    resume : bool
        Go on with an unfinished result at `out`; begin where there is none.

    Raises
    ------
    InputError
        As `predict` and `open_cluster`; U151 for what workers cannot do: an image that is no
        file, or a loss; U161 at the end when tiles are missing whose workers died.
    """
    config = config or PredictConfig()
    _check(image, config)
    model, image, out = (Path(path).resolve() for path in (model, image, out))
    with open_cluster(workers, scheduler) as client:
        opened = open_model(model, config.device)
        config = config if workers is None else _for_each(config, workers, opened.device)
        origin = choose_region(config, open_image(image, opened), opened.card.model.ndim).offset
        with closing(predict(opened, image, out, config, focus=origin, resume=resume)) as begun:
            for event in begun:
                if isinstance(event, Started):
                    break
                yield event  # it may be finished already
            else:
                return
        task, ledger, place = _reopen(opened, image, out, config)
        threads = config.threads or (workers and cores_of(workers))
        job = Job(
            model=str(model),
            checksum=opened.card.checksum,
            image=str(image),
            place=place,
            shape=tuple(task.picture.data.shape),
            config=task.config.model_copy(update={"threads": threads}),
            plan=task.plan,
        )
        filling = _Filling(task, ledger, job)
        yield from filling.say(Started(filling.clock.total))
        yield from filling.run(client)
    while filling.left:  # the workers died while they started: dask gives them up
        with open_cluster(workers, scheduler) as client:
            yield from filling.run(client)
    with closing(predict(opened, image, out, config, resume=True)) as ended:
        yield from _count(ended, filling.clock)


def _count(events: Predicted, clock: Clock) -> Predicted:
    """Pass on what follows after all tiles, with the numbers of those that were computed."""
    for event in events:
        if isinstance(event, Finished):
            numbers = {
                "computed": clock.done - clock.before,
                "elapsed_s": round(clock.elapsed_s, 3),
            }
            yield replace(event, summary={**event.summary, **numbers})
        elif not isinstance(event, Started):
            yield event


class _Filling:
    """Hands out shares of the tiles that a ledger lacks, and marks what is written.

    Parameters
    ----------
    task : Task
    ledger : Ledger
        Of the same task; marked here and nowhere else.
    job : Job
        The same for the workers.
    """

    def __init__(self, task: Task, ledger: Ledger, job: Job) -> None:
        self.task, self.ledger, self.job = task, ledger, job
        self.queue = Queue(task.grid, ~ledger.done, rows=task.rows)
        self.clock = Clock(task.grid.size - len(self.queue), task.grid.size)
        self._again: deque[Cells] = deque()  # whose workers died: behind the queue
        self._deaths: Counter[Cells] = Counter()
        self._lost: list[Cell] = []
        self._begun_s: dict[Cells, float] = {}
        self._alone_s: float | None = None  # since when no worker is there
        self._ended = False
        self._endings = 0
        self._n_workers = 1
        self._tiles_s: deque[float] = deque([SHARE_S], RECENT)  # per tile, as the last shares took

    def run(self, client: Client) -> Predicted:
        """Have all tiles filled, unless all workers end and none of them comes back.

        Raises InputError of what a worker found wrong, U160 when workers end too often, and U161
        when tiles are missing.
        """
        workers, self._alone_s = Workers(client, fill), None
        try:
            while workers.busy or self.left:
                free = workers.free()
                yield from self._look_for(workers, free)
                if self._ended:
                    return
                self._n_workers = max(1, len(free) + workers.busy)
                for address in free:
                    if cells := self._next():
                        self._begun_s[cells] = time.perf_counter()
                        workers.begin(address, Share(self.job, cells))
                for share, answer in workers.wait():
                    yield from self._take(share.cells, answer)
        finally:
            workers.cancel()
        if self._lost:
            raise self._incomplete()

    @property
    def left(self) -> int:
        """How many tiles or strips wait for a worker."""
        return len(self.queue) + len(self._again)

    def say(self, event: PredictEvent) -> Predicted:
        point = yield event
        if point is not None:
            self.queue.aim(point)

    def _look_for(self, workers: Workers[Share], free: Sequence[str]) -> Predicted:
        """Say when there is no worker at all; note where none will come."""
        now_s, before_s = time.perf_counter(), self._alone_s
        self._alone_s = None if free or workers.busy else before_s or now_s
        if self._alone_s is not None and before_s is None:
            yield from self.say(Noted("there is no worker: waiting for one"))
        self._ended = self._alone_s is not None and workers.ended(now_s - self._alone_s)
        self._endings += self._ended
        if self._endings > ENDINGS:
            what = "the workers of this computer ended, and so did others in their place"
            raise InputError("U160", what, "resume with fewer workers, or without")

    def _next(self) -> Cells:
        """Return the cells of the next share; () when there is none."""
        many = min(SHARE_S / median(self._tiles_s), len(self.queue) / (2 * self._n_workers))
        cells = self.queue.pop()
        while cells and not self.task.rows and len(cells) < many:
            cells += self.queue.pop()
        if not cells and self._again:
            return self._again.popleft()
        return tuple(cells)

    def _take(self, cells: Cells, answer: tuple[str, ...] | Failed | None) -> Predicted:
        """Mark what a worker filled; raise what it found wrong; go on where it died."""
        took_s = time.perf_counter() - self._begun_s.pop(cells)
        if isinstance(answer, Failed):
            raise InputError(answer.code, answer.what, answer.remedy)
        if answer is None:
            yield from self.say(Noted(self._bury(cells)))
            return
        self._tiles_s.append(took_s / len(cells))
        for words in answer:
            yield from self.say(Noted(words))
        for cell in cells:
            self.ledger.mark(cell)
            at = corners(self.task.grid, cell)
            self.clock.tick()
            done, total = self.clock.done, self.clock.total
            yield from self.say(TileDone(done, total, *at, self._left_s()))

    def _left_s(self) -> float | None:
        """Estimate the time that is left; None while the workers still open the model."""
        if len(self._tiles_s) <= 2 * self._n_workers:
            return None
        return median(self._tiles_s) * (self.clock.total - self.clock.done) / self._n_workers

    def _bury(self, cells: Cells) -> str:
        """See what becomes of the tiles whose worker died; return it in words.

        A strip of rows is tried again as it was, for the same bytes; tiles one by one: then it is
        known which of them it was.
        """
        self._deaths[cells] += 1
        what = "a worker died, or was ended by the system"
        if len(cells) == 1 and self._deaths[cells] >= TRIES:
            self._lost.append(cells[0])
            return f"{what}, again: the tile {self._place(cells[0])} is left out"
        if len(cells) == 1 or (self.task.rows and self._deaths[cells] < TRIES):
            self._again.append(cells)
        else:
            self._again.extend((cell,) for cell in cells)
            self._deaths.update({(cell,): TRIES - 1 for cell in cells})
        return f"{what}: its tiles are computed again ({len(cells)})"

    def _place(self, cell: Cell) -> str:
        """Say which pixels of the image a tile covers."""
        grid = self.task.grid
        space = (f"{w.start}:{w.stop}" for w in grid.window(cell))
        return f"[{', '.join([*map(str, grid.lead(cell)), *space])}]"

    def _incomplete(self) -> InputError:
        places = "; ".join(self._place(cell) for cell in self._lost[:NAMED])
        more = f" and {len(self._lost) - NAMED} more" if len(self._lost) > NAMED else ""
        return InputError(
            "U161",
            f"{len(self._lost)} of {self.clock.total} tiles are missing, {TRIES} workers died of "
            f"each, most often for want of memory: {places}{more}",
            "resume with fewer workers: nothing else is computed again",
        )


def corners(grid: Grid, cell: Cell) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return where a tile begins and ends in the result, one number for each axis."""
    at = grid.region.place(grid.lead(cell), grid.window(cell))
    pairs = [(k, k + 1) if isinstance(k, int) else (k.start, k.stop) for k in at]
    start, stop = zip(*pairs, strict=True)
    return start, stop


def _check(image: object, config: PredictConfig) -> None:
    """Refuse what workers cannot do."""
    if not isinstance(image, str | Path):
        what = "workers open the image by its path: this one has none"
        raise InputError("U151", what, "save it, or predict without workers")
    if "loss" in config.outputs:
        raise InputError("U151", "workers do not see the labels", "predict the loss without them")


def _for_each(config: PredictConfig, workers: int, device: torch.device) -> PredictConfig:
    """Divide the memory of this computer, or of its graphics card, among the workers."""
    if config.memory_gib is not None:
        gib = config.memory_gib
    elif device.type == "cuda":
        gib = SHARE * torch.cuda.mem_get_info(device)[0] / GIB
    else:
        gib = SHARE * psutil.virtual_memory().available / GIB
    return config.model_copy(update={"memory_gib": gib / workers})


def _reopen(
    model: Model, image: Path, out: Path, config: PredictConfig
) -> tuple[Task, Ledger, str]:
    """Open a result that is begun: its task, its ledger, and where its arrays lie."""
    config = choose_outputs(config, model)
    picture = open_image(image, model)
    outputs = Outputs(out, config.outputs, resume=True)
    plan = read_plan(outputs.group, made_of(model, picture, config), outputs.path)
    task = make_task(model, picture, config, plan)
    return task, open_ledger(outputs.group, task.grid), outputs.place
