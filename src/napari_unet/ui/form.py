"""A config becomes a form: one field, one widget, and back to an equal config."""

from __future__ import annotations

import math
from ast import literal_eval
from decimal import Decimal
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

from magicgui.widgets import create_widget
from pydantic import ValidationError
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QLabel, QWidget

from napari_unet.config import ARCHITECTURES, LOSSES, Config, InputError, explain
from napari_unet.ui.rows import add_row, make_rows, may_shrink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic.fields import FieldInfo

AnyConfig = TypeVar("AnyConfig", bound=Config)

TABLES: Mapping[str, Sequence[tuple[str, Any]]] = {  # fields whose names stand in a table
    "architecture": [(a.title, name) for name, a in ARCHITECTURES.items()],
    "ndim": [("1-D, signals", 1), ("2-D, images", 2), ("3-D, volumes", 3)],
    "loss": [(name.replace("_", " "), name) for name in LOSSES],
}
LABELS: Mapping[str, str] = {
    "ndim": "space",
    "base": "first filters",
    "w0": "height w0",
    "sigma": "reach sigma",
}
UNITS: Mapping[str, str] = {"px": "px", "deg": "deg", "s": "s", "gib": "GiB"}
LARGEST = 10**9  # of a number without an upper bound
FOLLOWING: Mapping[str, Callable[[Mapping[str, Any]], Sequence[str]]] = {
    "variant": lambda settings: list(ARCHITECTURES[settings["architecture"]].variants),
}  # choices that depend on another setting
OPEN: Mapping[str, Sequence[str]] = {
    "device": ("auto", "cpu"),
}  # choices that turn out later; whatever else is set is offered, too


class Form(QWidget):
    """The fields of a config as widgets; `value` is a config again.

    Fields that are not shown keep the values they were given.

    Parameters
    ----------
    config : Config
        The values to begin with.
    only : sequence of str, optional
        Fields to show, in this order; default all that are not configs themselves.
    """

    changed = Signal()

    def __init__(
        self, config: Config, only: Sequence[str] | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        fields = type(config).model_fields
        self._config = config
        self._fields = {
            name: Field(name, fields[name], getattr(config, name))
            for name in (only or [n for n in fields if not isinstance(getattr(config, n), Config)])
        }
        self._error = QLabel()
        self._error.setObjectName("error")
        self._error.setWordWrap(True)
        self._error.setTextFormat(Qt.TextFormat.PlainText)
        self._error.hide()
        self._rows = make_rows(self)
        self._offer(dict(config))
        for name, field in self._fields.items():
            add_row(self._rows, in_words(name), field.widget)
            field.changed.connect(self._on_changed)
        self._rows.addRow(self._error)

    @property
    def settings(self) -> dict[str, Any]:
        """What the fields hold, unchecked, by name."""
        return {name: field.value for name, field in self._fields.items()}

    @property
    def value(self) -> Config:
        """The config that the form shows.

        Raises
        ------
        InputError
            For a value out of its range; also shown below the form.
        """
        return validate(type(self._config), dict(self._config) | self.settings)

    @value.setter
    def value(self, config: Config) -> None:
        self.blockSignals(True)
        self._config = config
        self._offer(dict(config))
        for name, field in self._fields.items():
            field.value = getattr(config, name)
        self.blockSignals(False)
        self._on_changed()

    @property
    def error_text(self) -> str:
        """What is wrong with the values, in words; empty when nothing is."""
        return str(self._error.text())

    def field(self, name: str) -> Field:
        """Return the field `name`."""
        return self._fields[name]

    def know(self, **others: Any) -> None:
        """Take values of fields that are not shown, for the check of those that are."""
        self._config = self._config.model_copy(update=others)
        self._check()

    def reveal(self, names: Iterable[str]) -> None:
        """Show only these fields; the others keep their values."""
        shown = set(names)
        for name, field in self._fields.items():
            for part in (field.widget, self._rows.labelForField(field.widget)):
                part.setVisible(name in shown)

    def _offer(self, settings: Mapping[str, Any]) -> None:
        for name in FOLLOWING.keys() & self._fields.keys():
            self._fields[name].offer(FOLLOWING[name](settings))

    def _on_changed(self) -> None:
        if not self.signalsBlocked():
            self._offer(dict(self._config) | self.settings)
        self._check()
        self.changed.emit()

    def _check(self) -> None:
        try:
            _ = self.value
        except InputError as error:
            self._error.setText(f"{error.what}: {error.remedy}")
            self._error.show()
        else:
            self._error.clear()
            self._error.hide()


class Field(QObject):
    """One setting: a widget with the range and the help text of the config."""

    changed = Signal()

    def __init__(self, name: str, info: FieldInfo, value: Any) -> None:
        super().__init__()
        self._decimals = decimals(info.default) if isinstance(info.default, float) else 0
        annotation, options = widget_for(name, info, value)
        self._as_text = annotation is str and not options and info.annotation is not str
        self._open = name in OPEN
        self._nothing = () if get_origin(info.annotation) is tuple else None
        shown = to_text(value) if self._as_text else value
        self._inner = create_widget(shown, annotation=annotation, options=options)
        self.widget = self._inner.native
        self.widget.setToolTip(f"<qt>{info.description}</qt>")
        if isinstance(self.widget, QAbstractSpinBox | QComboBox):
            self.widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            self.widget.installEventFilter(self)  # the wheel scrolls the dock, not the value
        if isinstance(self.widget, QComboBox):
            may_shrink(self.widget)
        if annotation is float:
            self.widget.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        if self._as_text:
            self.widget.setPlaceholderText("not set")
        self._inner.changed.connect(self._on_changed)

    @property
    def value(self) -> Any:
        """What the widget holds, as pydantic will check it."""
        if not self._as_text:
            return self._inner.value
        read = from_text(self._inner.value)
        return self._nothing if read is None else read

    @value.setter
    def value(self, value: Any) -> None:
        if isinstance(value, float) and not self._as_text:
            self.widget.setDecimals(max(decimals(value), self._decimals))
        if self._open and value not in self._inner.choices:
            self._inner.choices = [*self._inner.choices, value]
        self._inner.value = to_text(value) if self._as_text else value

    def offer(self, choices: Sequence[str], meaning: Mapping[str, str] | None = None) -> None:
        """Offer other choices, with what they mean; the one that was made stays if it may."""
        kept = [self.value] if self._open and self.value not in choices else []
        if meaning or (*choices, *kept) != self._inner.choices:
            words = {name: f"{name}: {what}" for name, what in (meaning or {}).items()}
            offered = [*choices, *kept]
            self._inner.choices = [(words.get(c, c.replace("_", " ")), c) for c in offered]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ignore the wheel over a field that has not the focus."""
        if event.type() == QEvent.Type.Wheel and not self.widget.hasFocus():
            event.ignore()
            return True
        return bool(super().eventFilter(watched, event))

    def _on_changed(self, _value: Any) -> None:
        self.changed.emit()


def validate(kind: type[AnyConfig], settings: Mapping[str, Any]) -> AnyConfig:
    """Return a config; raises InputError for what it does not allow.

    It is raised outside of `except`: the garbage collector cannot see into an error of pydantic,
    and one that is tied to ours would keep alive every window that was at work.
    """
    try:
        return kind.model_validate(dict(settings))
    except ValidationError as error:
        told = explain(error)
    raise told


def widget_for(name: str, info: FieldInfo, value: Any) -> tuple[Any, dict[str, Any]]:
    """Return the annotation and the options that `create_widget` needs for a field.

    Numbers, switches and choices have widgets of their own; whatever may also be None, a word
    or a list is a line of text.
    """
    if name in TABLES:
        return str, {"choices": list(TABLES[name]), "widget_type": "ComboBox"}
    if name in FOLLOWING or name in OPEN:
        known = [choice for choice in OPEN.get(name, ()) if choice != value]
        return str, {"choices": [*known, value], "widget_type": "ComboBox"}
    annotation = info.annotation
    if get_origin(annotation) is Literal:
        choices = [(str(c).replace("_", " "), c) for c in get_args(annotation)]
        return str, {"choices": choices, "widget_type": "ComboBox"}
    if annotation is bool:
        return bool, {"text": ""}
    if annotation in {int, float}:
        low, high = bounds(info)
        options = {"min": low, "max": high}
        if name == "kernel":
            options["step"] = 2  # odd numbers
        if annotation is float:
            options["step"] = 10.0 ** -max(decimals(value), decimals(float(info.default)))
        return annotation, options
    return str, {}


def bounds(info: FieldInfo) -> tuple[float, float]:
    """Return the range of a numeric field; what it excludes is left to the config to refuse."""
    low, high = -float(LARGEST), float(LARGEST)
    for rule in info.metadata:
        low = max(low, getattr(rule, "ge", low), getattr(rule, "gt", low))
        high = min(high, getattr(rule, "le", high), getattr(rule, "lt", high))
    if info.annotation is int:
        return math.ceil(low), math.floor(high)
    return low, high


def decimals(value: float) -> int:
    """Return how many decimals show `value` exactly and leave room for finer ones."""
    _, digits, exponent = Decimal(repr(value)).as_tuple()
    exact = -int(exponent)
    first = exact - len(digits) + 1 if any(digits) else 0
    return max(2, exact, first + 2)


def to_text(value: Any) -> str:
    """Write None and an empty tuple as nothing, a tuple as a list with commas."""
    if value is None:
        return ""
    if not isinstance(value, tuple):
        return str(value)
    return ", ".join(map(str, value)) + ("," if len(value) == 1 else "")


def from_text(text: str) -> Any:
    """Read a line of text back: nothing, numbers, words, or a list of them with commas."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    values = [_literal(word) for word in words]
    if not values:
        return None
    return values[0] if len(values) == 1 and "," not in text else tuple(values)


def in_words(name: str) -> str:
    """Turn a field name into a label: `sigma_px` -> `sigma (px)`."""
    if name in LABELS:
        return LABELS[name]
    stem, _, unit = name.rpartition("_")
    if unit in UNITS:
        return f"{stem.replace('_', ' ')} ({UNITS[unit]})"
    return name.replace("_", " ")


def _literal(word: str) -> Any:
    try:
        value = literal_eval(word)
    except (ValueError, SyntaxError):
        return word
    return value if isinstance(value, int | float | NoneType) else word
