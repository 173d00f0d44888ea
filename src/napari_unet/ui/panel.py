"""What all docks have in common: settings that scroll, and below them what stays in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QFrame, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_unet.ui.layers import find_layer
from napari_unet.ui.message import Message

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer
    from qtpy.QtGui import QShowEvent

MOST_PX = 260  # of settings that are in sight at any height of the window


class Panel(QWidget):
    """A dock of the viewer; what it has no engine for runs in a thread.

    napari calls `reset_choices` whenever the list of layers changes.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.message = Message()
        self.settings, self.foot = QVBoxLayout(), QVBoxLayout()
        self._scroll = QScrollArea()
        self._roomy: QWidget | None = None
        self._docked = False
        self._lay_out()

    @property
    def layers(self) -> list[Layer]:
        """The layers of the viewer."""
        return list(self.viewer.layers)

    def find(self, key: object) -> Layer | None:
        """Return the layer whose `unique_id` is `key`, if it still exists."""
        return find_layer(self.layers, key)

    def reset_choices(self, _event: object = None) -> None:
        """Take over the list of layers, unless this dock has been taken out of the window."""
        if isalive(self) and self._docked:
            self.fill()

    def fill(self) -> None:
        """Offer the layers of the viewer in the boxes."""
        raise NotImplementedError

    def shut_down(self) -> None:
        """End what runs for this dock; it has been taken out of the window."""
        raise NotImplementedError

    def event(self, event: QEvent) -> bool:
        """Notice when the dock is put into the window and when it is taken out."""
        if event.type() == QEvent.Type.ParentChange:
            if self._docked and self.parent() is None:
                self.shut_down()
            self._docked = self.parent() is not None
        return bool(super().event(event))

    def give_room(self, part: QWidget) -> None:
        """Add the part that takes all the room which the settings do not need."""
        self._roomy = part
        self.layout().setStretch(0, 0)
        self.layout().addWidget(part, stretch=1)

    def showEvent(self, event: QShowEvent) -> None:
        """Fit the settings, once the theme has its say."""
        super().showEvent(event)
        if self._roomy is not None:
            needed = self._scroll.widget().sizeHint().height()
            self._scroll.setMinimumHeight(min(needed, MOST_PX))
            self._scroll.setMaximumHeight(needed)
            self._scroll.setVisible(self.settings.count() > 0)

    def _lay_out(self) -> None:
        inner = QWidget()
        inner.setLayout(self.settings)
        self.settings.setSpacing(4)
        self.settings.setAlignment(Qt.AlignmentFlag.AlignTop)
        scroll = self._scroll
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QVBoxLayout(self)
        column.addWidget(scroll, stretch=1)
        column.addLayout(self.foot)
        self.foot.addWidget(self.message)
        self.setMinimumWidth(350)


def allow(button: QPushButton, why_not: str, tooltip: str) -> None:
    """Enable a button, or disable it and say why in its tooltip."""
    button.setEnabled(not why_not)
    button.setToolTip(f"Not now: {why_not}" if why_not else tooltip)
