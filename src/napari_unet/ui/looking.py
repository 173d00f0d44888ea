"""Where the user looks, told while the camera and the sliders move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    import napari.viewer

CALM_MS = 150  # between two tellings


class Looking(QObject):
    """Tells that the user looks elsewhere: at once while it goes on, but not at every pixel."""

    moved = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(CALM_MS)
        self._timer.timeout.connect(self.moved)
        scene = getattr(viewer, "scene", viewer)  # the camera moved there in napari 0.9
        self._sources: tuple[Any, ...] = (scene.camera.events, viewer.dims.events)
        for source in self._sources:
            source.connect(self._on_change)

    def stop(self) -> None:
        """Look away."""
        self._timer.stop()
        for source in self._sources:
            source.disconnect(self._on_change)
        self._sources = ()

    def _on_change(self, _event: object = None) -> None:
        if isalive(self) and not self._timer.isActive():
            self._timer.start()
