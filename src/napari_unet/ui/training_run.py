"""A training as the window follows it: layers out, numbers in."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_unet.config import TrainConfig
from napari_unet.engine.jobs import Correct, SamplesJob, TrainJob
from napari_unet.events import Finished, Stopped
from napari_unet.metrics.course import Course
from napari_unet.metrics.diagnosis import diagnose
from napari_unet.metrics.duration import duration
from napari_unet.ui.background import Background
from napari_unet.ui.dock import holds_model
from napari_unet.ui.layers import store_labels, store_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_unet.engine.jobs import ArrayRef
    from napari_unet.events import Event, Validated
    from napari_unet.metrics.diagnosis import Diagnosis
    from napari_unet.ui.layers import Source

Pairs = tuple[tuple["ArrayRef", "ArrayRef"], ...]


class TrainingRun(QObject):
    """One training at a time, or a look at its samples; the layers are snapshotted before."""

    submitted = Signal(object)  # TrainJob or SamplesJob: for the engine
    corrected = Signal(object)  # Correct: for the engine
    refused = Signal(Exception)  # the layers could not be handed over

    def __init__(self, scratch: Path, parent: QObject) -> None:
        super().__init__(parent)
        self.order: TrainJob | None = None  # the training that runs or ran last
        self.course = Course()
        self._scratch = scratch
        self._make: Callable[[Pairs], TrainJob | SamplesJob] | None = None
        self._copying = Background(self)
        self._copying.done.connect(self._on_copied)
        self._copying.failed.connect(self.refused)
        self._correcting = Background(self)
        self._correcting.done.connect(self._on_corrected)
        self._correcting.failed.connect(self.refused)

    @property
    def history(self) -> list[Validated]:
        """All validations so far."""
        return self.course.validations

    @property
    def diagnosis(self) -> Diagnosis:
        """How it goes, in one sentence, and what can be done."""
        return diagnose(self.course, self.order.config if self.order is not None else None)

    def begin(
        self,
        sources: Sequence[tuple[Source, Source]],
        config: TrainConfig,
        folder: Path,
        parent: str = "",
        *,
        resume: bool = False,
    ) -> str:
        """Copy the layers and order a training into `folder`; return the name of the job.

        With `resume` the training that is in the folder goes on.
        """
        job = uuid.uuid4().hex
        known = self.order is not None and self.order.folder == str(folder)
        self.order = None
        if resume and known:
            self.course.mark_next("continued")
        else:
            self.course.clear()

        def make(pairs: Pairs) -> TrainJob:
            self.order = TrainJob(
                job=job,
                config=config,
                pairs=pairs,
                folder=str(folder),
                parent=parent or None,
                resume=resume,
            )
            return self.order

        self._hand_over(sources, make)
        return job

    def resume(self, budget: Mapping[str, Any] | None = None) -> str:
        """Order to go on from the last checkpoint; return the name of the new job.

        `budget` is laid over the settings: `minutes` or `epochs`, from the beginning of the run.
        """
        assert self.order is not None, "nothing was ever trained"
        job = uuid.uuid4().hex
        settings = self.order.config.model_dump()
        config = TrainConfig.from_settings(settings, dict(budget or {}))
        changes = {"job": job, "resume": True, "config": config}
        self.order = self.order.model_copy(update=changes)
        self.course.mark_next("resumed")
        self.submitted.emit(self.order)
        return job

    def correct(self, truths: Sequence[Source]) -> None:
        """Copy the labels as they are now and order to go on with them."""
        assert self.order is not None, "nothing is trained"
        images = [image for image, _ in self.order.pairs]
        self._correcting.run(store_labels, images, list(truths), self._scratch)

    def _on_corrected(self, pairs: Pairs) -> None:
        if self.order is not None:
            self.order = self.order.model_copy(update={"pairs": pairs})
            self.corrected.emit(Correct(job=self.order.job, pairs=pairs))

    def sample(
        self, sources: Sequence[tuple[Source, Source]], config: TrainConfig, count: int
    ) -> str:
        """Order a few augmented samples; return the name of the job."""
        job = uuid.uuid4().hex
        out = str(self._scratch / f"{job}.zarr")

        def make(pairs: Pairs) -> SamplesJob:
            return SamplesJob(job=job, config=config, pairs=pairs, out=out, count=count)

        self._hand_over(sources, make)
        return job

    def take(self, event: Event) -> None:
        """Follow the events of the training."""
        self.course.take(event)

    def abandon(self) -> None:
        """Stop copying."""
        self._copying.stop()
        self._correcting.stop()

    def _hand_over(
        self,
        sources: Sequence[tuple[Source, Source]],
        make: Callable[[Pairs], TrainJob | SamplesJob],
    ) -> None:
        self._make = make
        self._copying.run(store_pairs, tuple(sources), self._scratch)

    def _on_copied(self, pairs: Pairs) -> None:
        if self._make is not None:
            self.submitted.emit(self._make(pairs))


def how_it_ended(event: Finished | Stopped) -> str:
    """Say what a training that has ended leaves behind."""
    name = Path(event.path).name
    if isinstance(event, Finished):
        taken = duration(float(event.summary.get("elapsed_s", 0)))
        return f"{name} is ready after {taken}: open Predict to apply it"
    kept = holds_model(event.path)
    learned = "what it had learned is kept" if kept else "it had not learned anything yet"
    return f"{name} was stopped; {learned}"
