"""A model and the image it is applied to, chosen together and checked against each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_unet.arrays.axes import Picture, lead_shape, spatial_shape
from napari_unet.config import InputError
from napari_unet.tiling import AUTO_TILE
from napari_unet.ui.axes_box import AxesBox
from napari_unet.ui.channels import ChannelBoxes
from napari_unet.ui.choice import ModelBox
from napari_unet.ui.cost import Cost, count_cost
from napari_unet.ui.layers import channels_of, first_level, stack_of
from napari_unet.ui.rows import add_row, make_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Layer

    from napari_unet.library.card import Card
    from napari_unet.ui.layers import Source


class Subject(QWidget):
    """Boxes for a model, an image, and the meaning of its axes.

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
        self.model = ModelBox("The model to apply; models are made in the dock Train.")
        self.image = ChannelBoxes("The image to apply it to.")
        self.axes = AxesBox()
        self.why_not = ""  # why the model cannot be applied; empty when it can
        self.card: Card | None = None
        rows = make_rows(self)
        add_row(rows, "model", self.model)
        add_row(rows, "image", self.image)
        add_row(rows, "axes", self.axes)
        for part in (self.model, self.image, self.axes):
            part.chosen.connect(self._on_chosen)

    @property
    def layer(self) -> Layer | None:
        """The image that is chosen (or its first channel), if it still exists."""
        return self._find(self.image.key)

    @property
    def source(self) -> Source | None:
        """The image with all of its channels; None when a layer no longer exists.

        Raises
        ------
        InputError
            For layers that are not the channels of one image.
        """
        layers = [layer for key in self.image.keys if (layer := self._find(key)) is not None]
        missing = len(layers) < len(self.image.keys)
        return None if missing or not self.axes.axes else stack_of(layers, self.axes.axes)

    @property
    def gated(self) -> bool:
        """Whether the model has attention gates to look at."""
        return self.card is not None and self.card.model.architecture == "attention"

    def fill(self, layers: Sequence[Layer]) -> None:
        """Offer layers; models are offered by `model.fill`."""
        self.image.fill(layers)

    def cost(self, tile: int | str = "auto") -> Cost | None:
        """Count what a prediction takes; None while nothing can be predicted."""
        layer, card = self.layer, self.card
        if self.why_not or layer is None or card is None:
            return None
        picture, ndim = Picture(first_level(layer), self.axes.axes), card.model.ndim
        return count_cost(
            spatial_shape(picture, ndim),
            AUTO_TILE[ndim] if isinstance(tile, str) else tile,
            card.geometry.value(),
            positions=math.prod(lead_shape(picture, ndim)),
        )

    def _on_chosen(self) -> None:
        try:
            self.why_not = self._check()
        except InputError as error:
            self.why_not = f"{error.what}: {error.remedy}"
        self.changed.emit()

    def _check(self) -> str:
        self.card, layer = self.model.card, self.layer
        if self.card is None:
            return "train a model first, or choose a folder that holds one"
        if layer is None:
            return "open an image first"
        if self.image.why_not:
            return self.image.why_not
        self.axes.fill(layer, self.card.model.ndim)
        wanted, others = self.card.model.in_channels, len(self.image.keys) - 1
        found = channels_of(layer, self.axes.axes) + others
        _ = self.source  # raises for layers that do not go together
        if found == wanted:
            return ""
        return (
            f"the model wants {wanted} channel(s), {layer.name!r} has {found}: choose an image "
            "like those it was trained on, other axes, or add channels with +"
        )
