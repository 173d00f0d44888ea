"""One line to the user: an error with code and remedy, a warning, or a word of news."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qtpy.QtWidgets import QWidget

COLOURS: Mapping[str, str] = {
    "error": "#e5484d",
    "warning": "#c07c00",
    "news": "",
}  # readable on dark and light


class Message(QLabel):
    """A line of plain text that is hidden while there is nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.hide()

    @property
    def kind(self) -> str:
        """What was said last: "error", "warning" or "news"."""
        return str(self.property("kind") or "news")

    def clear(self) -> None:
        """Say nothing."""
        self._say("", "news")

    def news(self, text: str) -> None:
        """Say what happens."""
        self._say(text, "news")

    def warn(self, text: str, *, notify: bool = False) -> None:
        """Say what may be wrong; with `notify` also as a notification of napari."""
        self._say(text, "warning")
        if notify:
            show_warning(text)

    def error(self, error: Exception, details: str = "") -> None:
        """Say what could not be done and what to do about it, here and as a notification."""
        text = in_one_line(error)
        self._say(text, "error")
        self.setToolTip(details)
        show_error(text)

    def mark(self, error: Exception) -> None:
        """Say what is wrong, here only: the user is still choosing."""
        self._say(in_one_line(error), "error")

    def _say(self, text: str, kind: str) -> None:
        colour = COLOURS[kind]
        self.setStyleSheet(f"color: {colour}" if colour else "")
        self.setProperty("kind", kind)
        self.setToolTip("")
        self.setText(text)
        self.setVisible(bool(text))


def in_one_line(error: Exception) -> str:
    """Write an error as `code: what: remedy`; a fault of ours gets the code U001."""
    if isinstance(error, InputError):
        return str(error)
    what = " ".join(str(error).split())
    return f"U001: {type(error).__name__}: {what}: report it with what you did"
