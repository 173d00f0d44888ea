"""The part of the Train dock in which a model is chosen that is trained for longer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QPushButton

from napari_unet.config import ModelFileError
from napari_unet.library.checkpoints import has_checkpoint
from napari_unet.library.continuing import longer
from napari_unet.ui.choice import ModelBox
from napari_unet.ui.panel import allow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_unet.config import TrainConfig
    from napari_unet.library.card import Card

    Budget = Mapping[str, float | int | None]

CONTINUED = (
    "Continue: the same model is trained for longer, with its own settings, the same state of the "
    "optimiser and the same pixels held out. Fine-tune makes another model instead."
)
TUNED = (
    "Fine-tune: a new model begins with what this one has learned. The optimiser begins anew; "
    "settings, images and labels may be others. Continue trains the same model for longer instead."
)


class Continuing(QObject):
    """A box with the models, and a button that trains the one which is chosen for longer.

    Both are for a dock to place.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.model, self.button = ModelBox(CONTINUED), QPushButton("Continue")
        self.button.setToolTip(CONTINUED)
        self._card: Card | None = None
        self.model.chosen.connect(self._on_chosen)

    def config(self, budget: Budget) -> TrainConfig:
        """Return the settings of the model, with `budget` on top of what it has spent.

        Raises InputError U132 for a model without a checkpoint.
        """
        minutes, epochs = budget["minutes"], budget["epochs"]
        whole = None if epochs is None else int(epochs)
        return longer(self.model.folder, minutes=minutes, epochs=whole)

    def check(self, budget: Budget, ndim: int, kind: str, why_not: str) -> None:
        """Allow the button, or say why not.

        Parameters
        ----------
        budget : mapping
            `minutes` and `epochs`, one of them None.
        ndim, kind : int, str
            What the dock takes for space, and for labels.
        why_not : str
            Why nothing can be trained at all, or nothing.
        """
        self.button.setVisible(self._card is not None)
        if self._card is not None:
            words = amount(budget)
            self.button.setText(f"Continue for {words} more")
            done = f"Train {self._card.name!r} for {words} more. {CONTINUED}"
            allow(self.button, self._misfit(self._card, ndim, kind) or why_not, f"<qt>{done}</qt>")

    def _misfit(self, card: Card, ndim: int, kind: str) -> str:
        if not has_checkpoint(Path(self.model.folder)):
            return f"{card.name!r} has no checkpoint to go on from: fine-tune it"
        if card.model.ndim != ndim:
            return f"{card.name!r} is {card.model.ndim}-D: set ndim to {card.model.ndim}"
        if (card.kind == "regression") != (kind == "regression"):
            return f"{card.name!r} has learned {card.kind}: choose what the labels mean"
        return ""

    def _on_chosen(self) -> None:
        self._card = None
        try:
            self._card = self.model.card
        except ModelFileError as error:  # deleted or damaged since it was offered
            self.model.refused.emit(error)


def amount(budget: Budget) -> str:
    """Say how much a budget is, such as 2 min or 1 epoch."""
    epochs = budget["epochs"]
    if epochs is None:
        return f"{budget['minutes'] or 0:g} min"
    return f"{epochs} epoch{'s' * (epochs != 1)}"
