"""Rows of settings: a label and a widget, aligned over all forms of a dock."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QSizePolicy, QWidget
from superqt import QCollapsible

LABEL_PX = 92


def make_rows(widget: QWidget) -> QFormLayout:
    """Give `widget` an empty column of rows."""
    rows = QFormLayout(widget)
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setVerticalSpacing(4)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return rows


def add_row(rows: QFormLayout, words: str, part: QWidget) -> None:
    """Add a widget with its label; without words it takes the whole width."""
    if not words:
        rows.addRow(part)
        return
    label = QLabel(words)
    label.setMinimumWidth(LABEL_PX)
    label.setToolTip(part.toolTip())
    rows.addRow(label, part)


def stack(*parts: tuple[str, QWidget]) -> QWidget:
    """Put widgets below one another, each with its label."""
    whole = QWidget()
    rows = make_rows(whole)
    for words, part in parts:
        add_row(rows, words, part)
    return whole


def title(words: str) -> QLabel:
    """Make the title of a section."""
    label = QLabel(words)
    label.setStyleSheet("font-weight: bold; padding-top: 6px")
    return label


class Fold(QCollapsible):
    """A group of settings under a title that folds it away."""

    def __init__(self, words: str, *parts: QWidget, folded: bool = True) -> None:
        super().__init__(words, expandedIcon=_no_icon(), collapsedIcon=_no_icon())
        self._words = words  # the arrow is text: icons would not follow the theme
        self.toggleButton().setIconSize(QSize(0, 0))
        self.toggleButton().setStyleSheet(
            "text-align: left; border: none; background: transparent; font-weight: bold"
        )
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(0)
        self.toggled.connect(self._on_toggled)
        for part in parts:
            self.addWidget(part)
        if folded:
            self.collapse(animate=False)
        else:
            self.expand(animate=False)

    def _on_toggled(self, open_: bool) -> None:
        self.setText(f"{'▾' if open_ else '▸'}  {self._words}")


def may_shrink(box: QComboBox) -> None:
    """Let long names be cut rather than widen the dock."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def _no_icon() -> QIcon:
    pixmap = QPixmap(1, 1)
    pixmap.fill(Qt.GlobalColor.transparent)
    return QIcon(pixmap)
