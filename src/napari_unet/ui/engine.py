"""The engine as the window sees it: a process per running job and a warm spare."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_unet.engine.jobs import Cancel, Focus, Pause, Resume
from napari_unet.events import Beat, Event, Failed, Finished, Ready, Stopped
from napari_unet.ui.child import Child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qtpy.QtWidgets import QWidget

    from napari_unet.engine.jobs import Control, Job, Question

SILENCE_S = 10.0  # the engine beats once a second


class Engine(QObject):
    """Child processes that run jobs and report what happened.

    There is one for all docks (see `engine_for`), so that they share the warm spare. It runs
    on the event loop of the window and has no thread.
    """

    happened = Signal(str, object)  # job, Event
    died = Signal(str, str)  # job, why in words
    silent = Signal(str, float)  # job, seconds without a sign of life

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.devices: Mapping[str, str] = {}  # name: what it is; empty until a process has told
        self._children: list[Child] = []
        self._users: set[int] = set()
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._watch = QTimer(self)
        self._watch.setInterval(1000)
        self._watch.timeout.connect(self._on_watch)

    @property
    def scratch(self) -> Path:
        """A folder for arrays that both processes map; removed when the program ends."""
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(
                prefix="napari-unet-", ignore_cleanup_errors=True
            )
        return Path(self._scratch.name)

    @property
    def jobs(self) -> list[str]:
        """The jobs that run."""
        return [child.job for child in self._children if child.job]

    def join(self, user: QWidget) -> None:
        """Count `user` among those that need the engine, and warm up a process for it."""
        self._users.add(id(user))
        user.destroyed.connect(partial(self._leave, id(user)))
        self._warm()

    def leave(self, user: QWidget) -> None:
        """Strike `user` off and end its jobs; after the last one, every process ends."""
        self._leave(id(user))

    def submit(self, job: Job, user: QWidget) -> None:
        """Run `job` for `user` in the warm process, or in a new one."""
        child = next((c for c in self._children if not c.job), None) or self._start()
        child.order(job)
        child.job, child.user = job.job, id(user)
        self._watch.start()

    def cancel(self, job: str) -> None:
        """Stop a job within one step or tile; what was reached is kept."""
        self._order(job, Cancel(job=job))

    def pause(self, job: str) -> None:
        """Hold a job after the current step or tile."""
        self._order(job, Pause(job=job))

    def resume(self, job: str) -> None:
        """Go on with a paused job."""
        self._order(job, Resume(job=job))

    def ask(self, question: Question) -> None:
        """Put a question to the job that it names."""
        self._order(question.job, question)

    def focus(self, job: str, point: Sequence[float]) -> None:
        """Go on with a job where the user looks now."""
        self._order(job, Focus(job=job, point=tuple(point)))

    def abandon(self, job: str) -> None:
        """End the process of a job that nobody waits for any more."""
        child = self._child_of(job)
        if child is not None:
            self._children.remove(child)
            child.end()
            self._rest()

    def pid(self, job: str) -> int:
        """Return the number of the process that runs `job`; 0 when none does."""
        child = self._child_of(job)
        return child.pid if child else 0

    def close(self) -> None:
        """End every process; a later job starts a new one."""
        self._watch.stop()
        children, self._children = self._children, []
        for child in children:
            child.close_input()  # all at once, then wait for each
        for child in children:
            child.end()

    def _leave(self, user: int, _widget: object = None) -> None:
        self._users.discard(user)
        if not isalive(self):  # the program is ending
            return
        for child in [c for c in self._children if c.job and c.user == user]:
            self.abandon(child.job)
        if not self._users:
            self.close()

    def _warm(self) -> None:
        if all(child.job for child in self._children):
            self._start()

    def _start(self) -> Child:
        child = Child(self)
        child.said.connect(self._on_said)
        child.ended.connect(self._on_ended)
        self._children.append(child)
        return child

    def _child_of(self, job: str) -> Child | None:
        return next((c for c in self._children if job and c.job == job), None)

    def _order(self, job: str, order: Control) -> None:
        child = self._child_of(job)
        if child is not None:
            child.order(order)

    def _on_said(self, child: Child, job: str, event: Event) -> None:
        if isinstance(event, Beat | Failed) and not job:  # of the process, or of a refused order
            job = child.job
        if isinstance(event, Finished | Stopped | Failed) and job == child.job:
            child.job = ""
            self._retire()
        if isinstance(event, Ready):
            self.devices = event.devices
        self.happened.emit(job, event)

    def _retire(self) -> None:
        """Keep one free process; let the others end."""
        for child in [c for c in self._children if not c.job][1:]:
            self._children.remove(child)
            child.dismiss()
        self._rest()

    def _rest(self) -> None:
        """Stop watching when nothing runs."""
        if not self.jobs:
            self._watch.stop()

    def _on_ended(self, child: Child, why: str) -> None:
        if child in self._children:
            self._children.remove(child)
        child.deleteLater()
        self._rest()
        if child.job:
            self.died.emit(child.job, why)

    def _on_watch(self) -> None:
        for child in [c for c in self._children if c.job]:
            silence_s = time.monotonic() - child.heard_s
            if silence_s > SILENCE_S:
                self.silent.emit(child.job, silence_s)


def engine_for(user: QWidget) -> Engine:
    """Return the engine that all docks of this program share, and count `user` in."""
    application = QApplication.instance()
    engine: Engine | None = application.findChild(Engine)
    if engine is None:
        engine = Engine(application)
        application.aboutToQuit.connect(engine.close)
    engine.join(user)
    return engine
