"""What the docks have in common: a viewer, the engine, one line of words, and an end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_unet.events import Finished, Stopped
from napari_unet.library.folders import CARD, default_root
from napari_unet.ui.engine import engine_for
from napari_unet.ui.layers import find_layer
from napari_unet.ui.message import Message
from napari_unet.ui.progress import Progress

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

    from napari_unet.events import Event


class Dock(QWidget):
    """A dock of the viewer: settings that scroll, and below them what always stays in sight.

    napari calls `reset_choices` whenever the list of layers changes.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.engine = engine_for(self)
        self.root = default_root()
        self.message = Message()
        self.progress = Progress()
        self._docked = self._silent = False
        self.settings, self.foot = QVBoxLayout(), QVBoxLayout()
        self._lay_out()
        self.engine.happened.connect(self._on_happened)
        self.engine.died.connect(self._on_died)
        self.engine.silent.connect(self._on_silent)
        self.progress.stopped.connect(self._on_stop)
        self.progress.ended.connect(self._on_end_now)
        self.progress.held.connect(self._on_held)
        self.job = ""  # what the progress bar stands for

    @property
    def layers(self) -> list[Layer]:
        """The layers of the viewer."""
        return list(self.viewer.layers)

    def find(self, key: object) -> Layer | None:
        """Return the layer whose `unique_id` is `key`, if it still exists."""
        return find_layer(self.layers, key)

    def reset_choices(self, _event: object = None) -> None:
        """Take over the list of layers, unless this dock is already gone."""
        if isalive(self):
            self.fill()

    def fill(self) -> None:
        """Offer the layers of the viewer in the boxes."""
        raise NotImplementedError

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

    def event(self, event: QEvent) -> bool:
        """Notice when the dock is put into the window and when it is taken out."""
        if event.type() == QEvent.Type.ParentChange:
            if self._docked and self.parent() is None:
                self.shut_down()
            self._docked = self.parent() is not None
        return bool(super().event(event))

    def _lay_out(self) -> None:
        inner = QWidget()
        inner.setLayout(self.settings)
        self.settings.setSpacing(4)
        self.settings.setAlignment(Qt.AlignmentFlag.AlignTop)
        scroll = QScrollArea()
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QVBoxLayout(self)
        column.addWidget(scroll, stretch=1)
        column.addLayout(self.foot)
        self.foot.addWidget(self.message)
        self.foot.addWidget(self.progress)
        self.setMinimumWidth(340)

    def _on_happened(self, job: str, event: Event) -> None:
        if isinstance(event, Finished | Stopped) and (Path(event.path) / CARD).is_file():
            self.offer_model(event.path)
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
