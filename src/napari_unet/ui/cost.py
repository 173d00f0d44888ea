"""What a prediction will cost, told before the click."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QLabel

from napari_unet.config import InputError
from napari_unet.engine.jobs import PlanJob
from napari_unet.events import Failed, Finished
from napari_unet.tiling import Geometry, plan_tiles
from napari_unet.ui.background import Background
from napari_unet.ui.layers import store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from qtpy.QtWidgets import QWidget

    from napari_unet.config import PredictConfig
    from napari_unet.engine.jobs import ArrayRef
    from napari_unet.events import Event
    from napari_unet.ui.engine import Engine
    from napari_unet.ui.layers import Source

CALM_MS = 400  # after the last change of a setting


class CostLine(QLabel):
    """What a prediction will take, asked of the engine before the click.

    One question at a time; of what changes meanwhile, the last is asked next. An image that does
    not lie on disk is stood for by an empty array of its shape.

    Parameters
    ----------
    engine : Engine
        Whom to ask.
    user : QWidget
        The dock, for which the engine works.
    """

    answered = Signal()

    def __init__(self, engine: Engine, user: QWidget) -> None:
        super().__init__()
        self._engine, self._user = engine, user
        self._question: Question | None = None
        self._asked: Question | None = None  # the one that is being answered
        self._job = ""
        self._sketching = Background(self)
        self._sketching.done.connect(self._on_sketched)
        self._sketching.failed.connect(self._on_failed)
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(CALM_MS)
        self._calm.timeout.connect(self._on_calm)
        engine.happened.connect(self._on_happened)
        engine.died.connect(self._on_died)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setToolTip("How the image will be predicted, with how much memory, in how much time.")

    @property
    def busy(self) -> bool:
        """Whether the engine works at an answer; `answered` tells when it has come."""
        return bool(self._engine.pid(self._job))

    def ask(self, source: Source, folder: str, config: PredictConfig) -> None:
        """Ask what it takes to apply the model in `folder`, once nothing changes any more."""
        question = Question(source, folder, config)
        if self._question is None or question.key != self._question.key:
            self._question = question
            self.setText("measuring what it takes \N{HORIZONTAL ELLIPSIS}")
            self._calm.start()

    def tell(self, words: str) -> None:
        """Show other words; what was asked is forgotten."""
        self.stop()
        self.setText(words)

    def rest(self) -> None:
        """Ask nothing new while the engine has other work; it would take a second process."""
        if not self.busy and (self._calm.isActive() or self._sketching.busy):
            self.tell("")

    def stop(self) -> None:
        """Ask no more."""
        self._question = None
        self._calm.stop()
        if self._sketching.busy:
            self._sketching.stop()
            self._asked = None

    def _on_calm(self) -> None:
        if self._asked is None and self._question is not None:  # else asked again after the answer
            self._asked, self._job = self._question, uuid.uuid4().hex
            self._sketching.run(_sketch, self._asked.source, self._engine.scratch)

    def _on_sketched(self, image: ArrayRef) -> None:
        if self._asked is not None:
            folder, config = self._asked.folder, self._asked.config
            job = PlanJob(job=self._job, model=folder, image=image, config=config)
            self._engine.submit(job, self._user)

    def _on_happened(self, job: str, event: Event) -> None:
        if not job or job != self._job:
            return
        match event:
            case Finished(summary=summary):
                self._answer(str(summary["words"]))
            case Failed(code=code, what=what, remedy=remedy):
                self._answer(str(InputError(code, what, remedy)))

    def _on_died(self, job: str, why: str) -> None:
        if job and job == self._job:
            self._answer(why)

    def _on_failed(self, error: Exception) -> None:
        self._answer(str(error))

    def _answer(self, words: str) -> None:
        asked, self._asked, self._job = self._asked, None, ""
        if asked is not None and asked is self._question:
            self.setText(words)
        elif self._question is not None:
            self._calm.start()
        self.answered.emit()


@dataclass(frozen=True, slots=True)
class Question:
    """An image, a model folder and settings."""

    source: Source
    folder: str
    config: PredictConfig

    @property
    def key(self) -> tuple[object, ...]:
        """What the answer depends on."""
        image = self.source
        form = tuple(image.data.shape), str(image.data.dtype), image.axes, image.spacing, image.unit
        return *form, self.folder, self.config


def _sketch(source: Source, scratch: Path, stopped: Callable[[], bool]) -> ArrayRef:
    """Give the path of an image, or of an array of its shape with nothing in it."""
    nothing = (slice(0, 0),) * source.data.ndim
    return store(source, scratch, within=nothing, stopped=stopped)


@dataclass(frozen=True, slots=True)
class Cost:
    """How much work a plan of tiles is.

    Parameters
    ----------
    tiles : int
        How many there are, over all positions of a stack.
    block : tuple of int
        What the largest tile writes, in pixels per axis.
    context : tuple of int
        How far it reads beyond that at most, in pixels per axis.
    redundant : float
        Share of all pixels read that are read only as context.
    """

    tiles: int
    block: tuple[int, ...]
    context: tuple[int, ...]
    redundant: float

    def __str__(self) -> str:
        if self.tiles == 1:
            return f"1 tile of {_times(self.block)} pixels"
        block, context = _times(self.block), _times(self.context)
        return (
            f"{self.tiles:,} tiles of {block} pixels, each read with up to {context} more on every "
            f"side ({self.redundant:.0%} of the reading is overlap)"
        )


def count_cost(shape: Sequence[int], size: int, geometry: Geometry, positions: int = 1) -> Cost:
    """Count the tiles of an image without listing them: a plan is a product of its axes.

    Parameters
    ----------
    shape : sequence of int
        Spatial shape (*S).
    size : int
        Edge of the tiles in pixels.
    geometry : Geometry
        Of the model.
    positions : int
        How many such images a stack has.
    """
    plans = [
        plan_tiles((n,), size, Geometry(*((values[axis],) for values in _fields(geometry))))
        for axis, n in enumerate(shape)
    ]
    read = math.prod(sum(t.read[0].stop - t.read[0].start for t in plan) for plan in plans)
    block = tuple(max(t.write[0].stop - t.write[0].start for t in plan) for plan in plans)
    return Cost(
        tiles=positions * math.prod(len(plan) for plan in plans),
        block=block,
        context=geometry.context,
        redundant=1 - math.prod(shape) / read,
    )


def _fields(geometry: Geometry) -> tuple[tuple[int, ...], ...]:
    return geometry.step, geometry.margin, geometry.lost, geometry.smallest


def _times(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else "x".join(map(str, numbers))
