"""What the docks have in common whose work runs in the engine: a job, how far it is, its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.events import Ready, Saved, Stopped
from napari_unet.library.folders import CARD, default_root
from napari_unet.ui.engine import engine_for
from napari_unet.ui.pace import Pace
from napari_unet.ui.panel import Panel
from napari_unet.ui.progress import Progress

if TYPE_CHECKING:
    import napari.viewer

    from napari_unet.events import Event
    from napari_unet.ui.form import Field


class Dock(Panel):
    """A dock whose work runs in the engine, one job at a time."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.engine = engine_for(self)
        self.root = default_root()
        self.pace = Pace(self)
        self.progress = Progress(self.pace)
        self._silent = False
        self.foot.addWidget(self.progress)
        self.engine.happened.connect(self._on_happened)
        self.engine.died.connect(self._on_died)
        self.engine.silent.connect(self._on_silent)
        self.progress.stopped.connect(self._on_stop)
        self.progress.ended.connect(self._on_end_now)
        self.progress.held.connect(self._on_held)
        self.job = ""  # what the progress bar stands for
        self._device: Field | None = None

    def offer_devices(self, field: Field) -> None:
        """Let `field` offer the devices there are, as soon as the engine has told."""
        self._device = field
        if self.engine.devices:
            field.offer(["auto", *self.engine.devices], self.engine.devices)

    def offer_model(self, folder: str) -> None:
        """Take a model that was just made, here or in another dock, into the boxes."""
        raise NotImplementedError

    def handle(self, event: Event) -> None:
        """Take in an event of the job of this dock."""
        raise NotImplementedError

    def give_up(self, why: str) -> None:
        """Show that the engine died while it worked for this dock."""
        raise NotImplementedError

    def call_off(self) -> None:
        """Give up a job that has not reached the engine yet."""
        raise NotImplementedError

    def shut_down(self) -> None:
        """End what runs for this dock; it has been taken out of the window."""
        self.progress.close_job()
        self.engine.leave(self)

    def _on_happened(self, job: str, event: Event) -> None:
        if isinstance(event, Saved | Stopped) and holds_model(event.path):
            self.offer_model(event.path)
        if isinstance(event, Ready) and self._device is not None:
            self.offer_devices(self._device)
        if job and job == self.job:
            if self._silent:
                self._silent = False
                self.message.clear()
            self.handle(event)

    def _on_died(self, job: str, why: str) -> None:
        if job and job == self.job:
            self.job = ""
            self.progress.close_job()
            self.give_up(why)

    def _on_silent(self, job: str, silence_s: float) -> None:
        if job and job == self.job:
            self._silent = True
            self.message.warn(f"no sign of life from the engine for {silence_s:.0f} s")

    def _on_stop(self) -> None:
        if self.engine.pid(self.job):
            self.engine.cancel(self.job)
        else:
            self.call_off()

    def _on_end_now(self) -> None:
        job, self.job = self.job, ""
        self.progress.close_job()
        self.engine.abandon(job)
        self.give_up("the engine was ended on request")

    def _on_held(self, held: bool) -> None:
        if held:
            self.engine.pause(self.job)
        else:
            self.engine.resume(self.job)


def holds_model(folder: str) -> bool:
    """Whether a folder is a model by now; what was stopped may have made none."""
    return bool(folder) and (Path(folder) / CARD).is_file()
