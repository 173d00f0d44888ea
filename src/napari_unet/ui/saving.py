"""Where a result is kept: in memory while napari is open, or in a file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_unet.arrays.writing import TEMPORARY
from napari_unet.config import InputError
from napari_unet.ui.results import LEDGER

if TYPE_CHECKING:
    from collections.abc import Mapping

SUFFIXES: Mapping[str, str] = {
    ".ome.zarr": "OME-Zarr with a pyramid",
    ".zarr": "zarr, one array per output",
    ".tif": "TIFF, one output",
    ".ome.tif": "OME-TIFF, one output",
}
SETTINGS = ("outputs", "region", "outline", "passes", "dropout_passes", "seed")  # of a result
HELP = (
    "A file that keeps the result, written tile by tile. Empty: the layers are there as long as "
    "napari is open."
)


class KeepBox(QWidget):
    """A line for the name of a file, and a button to choose one."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = QLineEdit()
        self.line.setPlaceholderText("in napari only")
        self.line.setClearButtonEnabled(True)
        self.line.setToolTip(HELP)
        self.button = QPushButton("…")
        self.button.setFixedWidth(32)
        self.button.setToolTip("Choose a file for the result.")
        self.line.textChanged.connect(self._on_text)
        self.button.clicked.connect(self._on_button)
        self.setToolTip(HELP)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, stretch=1)
        row.addWidget(self.button)

    @property
    def path(self) -> Path | None:
        """The file, or None.

        Raises
        ------
        InputError
            U130 for a name that says no format.
        """
        text = self.line.text().strip()
        if not text:
            return None
        if not text.lower().endswith((*SUFFIXES, ".tiff")):
            known = ", ".join(SUFFIXES)
            raise InputError("U130", f"{text!r} names no format", f"end it with one of {known}")
        return Path(text).expanduser()

    def _on_text(self, _text: str) -> None:
        self.changed.emit()

    def _on_button(self) -> None:
        filters = ";;".join(f"{words} (*{suffix})" for suffix, words in SUFFIXES.items())
        chosen, words = QFileDialog.getSaveFileName(self, "Keep the result", "", filters)
        if chosen:
            suffix = words.rpartition("*")[2].rstrip(")")
            known = chosen.lower().endswith((*SUFFIXES, ".tiff"))
            self.line.setText(chosen if known else chosen + suffix)


def read_settings(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Read what an unfinished result is of: its path, and the settings that it was begun with.

    Parameters
    ----------
    folder : Path
        A zarr group; for a TIFF, the hidden one beside it.

    Raises
    ------
    InputError
        U151 for a folder that is no result, or a finished one.
    """
    try:
        group = import_module("zarr").open_group(str(folder), mode="r")
        finished = bool(group.attrs.get("complete"))
        made_of = {} if finished else dict(group[LEDGER].attrs["made_of"])
    except (OSError, KeyError, ValueError) as error:
        what = f"{folder.name} does not say which of its tiles are written"
        raise InputError("U151", what, "choose the zarr folder of a result") from error
    if finished:
        raise InputError("U151", f"{folder.name} is finished", "open it, or choose another")
    known = {name: made_of[name] for name in SETTINGS if name in made_of}
    known["outline"] = known.get("outline") or None
    hidden = folder.name.startswith(TEMPORARY)
    name = folder.name.removeprefix(TEMPORARY).removesuffix(".zarr")
    return (folder.with_name(name) if hidden else folder), known


def choose_unfinished(parent: QWidget) -> Path | None:
    """Let the user choose an unfinished result: a zarr folder, or the hidden one of a TIFF."""
    folder = QFileDialog.getExistingDirectory(parent, "Choose an unfinished result (a zarr folder)")
    return Path(folder) if folder else None
