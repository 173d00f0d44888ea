"""What to learn from: pairs of layers, what their axes mean, and what is doubtful about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_unet.config import InputError
from napari_unet.ui.axes_box import AxesBox
from napari_unet.ui.layers import channels_of, check_pair, source_of, stack_of, truth_axes
from napari_unet.ui.message import Message
from napari_unet.ui.pairs import Pairs
from napari_unet.ui.rows import add_row, make_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Layer

    from napari_unet.config import ModelConfig
    from napari_unet.ui.layers import Source


class Material(QWidget):
    """Boxes for images and their labels (or targets), checked against each other.

    Parameters
    ----------
    find : callable
        Returns the layer with a given `unique_id`, or None.
    """

    changed = Signal()

    def __init__(
        self, find: Callable[[object], Layer | None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._find = find
        self._kind = ""  # of the labels: instances, classes, regression
        self.pairs, self.axes, self.doubts = Pairs(), AxesBox(), Message()
        rows = make_rows(self)
        add_row(rows, "", self.pairs)
        add_row(rows, "axes", self.axes)
        add_row(rows, "", self.doubts)
        self.pairs.changed.connect(self.changed)
        self.axes.chosen.connect(self.changed)

    @property
    def name(self) -> str:
        """What the first image is called; empty where nothing is chosen."""
        return next((str(image.name) for (image, *_), _ in self.chosen), "")

    @property
    def chosen(self) -> list[tuple[list[Layer], Layer]]:
        """The pairs whose layers still exist: the channels of the image, and labels or target."""
        found = []
        for channels, (_, truth) in zip(self.pairs.channels, self.pairs.keys, strict=True):
            layers = [layer for key in (*channels, truth) if (layer := self._find(key))]
            if len(layers) == len(channels) + 1:
                found.append((layers[:-1], layers[-1]))
        return found

    @property
    def sources(self) -> list[tuple[Source, Source]]:
        """Images and labels that can be handed to the engine.

        Raises
        ------
        InputError
            U102, U113 for layers that are no channels of one image.
        """
        axes = self.axes.axes
        return [
            (stack_of(images, axes), source_of(truth, truth_axes(truth, images[0], axes)))
            for images, truth in self.chosen
        ]

    def fill(self, layers: Sequence[Layer]) -> None:
        """Offer `layers`."""
        self.pairs.fill(layers)

    def aim(self, kind: str) -> None:
        """Ask for labels, or for an image as target when `kind` is "regression"."""
        self._kind = kind
        self.pairs.aim(kind)

    def check(self, ndim: int) -> str:
        """Return why a network of `ndim` dimensions cannot learn from it, or nothing."""
        chosen = self.chosen
        self.doubts.clear()
        if self.pairs.why_not:
            return self.pairs.why_not
        if not chosen and self._kind == "regression":
            return "open an image, and another of the same size as its target"
        if not chosen:
            return "open an image and draw or open labels on it first"
        try:
            self.axes.fill(chosen[0][0][0], ndim)
            doubts = [word for i, k in chosen for word in check_pair(i[0], k, self.axes.axes)]
            _ = self.sources
        except InputError as error:
            self.doubts.mark(error)
            return f"{error.what}: {error.remedy}"
        if doubts:
            self.doubts.warn("; ".join(doubts))
        return ""

    def fit(self, model: ModelConfig) -> ModelConfig:
        """Return a network with the channels of what `check` has allowed, in regression of both."""
        (image, *others), truth = self.chosen[0]
        axes = self.axes.axes
        known = {"in_channels": channels_of(image, axes) + len(others)}
        if self._kind == "regression":
            known["classes"] = channels_of(truth, truth_axes(truth, image, axes))
        return model.model_copy(update=known)
