"""The dock in which several networks are trained on the same layers and scored alike."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from pydantic import ValidationError
from qtpy.QtWidgets import QLabel, QLineEdit, QPushButton

from napari_unet.config import ARCHITECTURES, RECIPES, InputError, TrainConfig, explain
from napari_unet.engine.jobs import CompareJob
from napari_unet.events import Compared, Failed, Finished, Noted, Started, Stepped, Stopped
from napari_unet.library.folders import free_folder
from napari_unet.metrics.duration import duration
from napari_unet.metrics.ranking import best_row, rank_table
from napari_unet.ui.background import Background
from napari_unet.ui.dock import Dock
from napari_unet.ui.form import Form
from napari_unet.ui.layers import store_pairs
from napari_unet.ui.material import Material
from napari_unet.ui.network_list import NetworkList
from napari_unet.ui.panel import allow
from napari_unet.ui.rows import Fold, stack, title
from napari_unet.ui.table import TableView
from napari_unet.ui.train_form import MEANING, Budget

if TYPE_CHECKING:
    from collections.abc import Mapping

    import napari.viewer

    from napari_unet.engine.jobs import ArrayRef
    from napari_unet.events import Event

CHOSEN = ("unet", "attention")  # to begin with
NAMES = ("model", "architecture", "variant")  # columns of a row


class CompareDock(Dock):
    """Choose images, labels and networks; each trains alike; the scores fill a table."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        config = TrainConfig.from_recipe("quick")
        self.material = Material(self.find)
        self.recipe = ComboBox(choices=list(RECIPES), value=config.recipe)
        self.meaning = Form(config.labels, only=("kind", "zero", "ignore"))
        self.meaning_words = QLabel()
        self.meaning_words.setWordWrap(True)
        self.network = Form(config.model, only=("ndim", "base", "depth"))
        self.plain = Form(config, only=("seed", "validation", "device", "threads"))
        self.networks, self.budget = NetworkList(CHOSEN), Budget()
        self.name, self.table = QLineEdit(), TableView()
        self.cost = QLabel()
        self.run_button = QPushButton("Compare")
        self.rows: list[Mapping[str, Any]] = []  # of the comparison that runs or ran last
        self._order: CompareJob | None = None
        self._copying = Background(self)
        self._compose()
        self._connect()
        self._on_meaning()
        self.fill()

    @property
    def config(self) -> TrainConfig:
        """What all networks have in common; raises InputError for what is out of range."""
        changes = {"labels": self.meaning.settings, "model": self.network.settings}
        try:
            return TrainConfig.from_recipe(
                self.recipe.value, **changes, **self.plain.settings, **self.budget.settings
            )
        except ValidationError as error:
            told = explain(error)
        raise told  # outside of `except`: see `form.validate`

    def fill(self) -> None:
        """Offer the layers of the viewer."""
        self.material.fill(self.layers)

    def offer_model(self, folder: str) -> None:
        """Nothing here begins from a model."""

    def handle(self, event: Event) -> None:
        """Follow the comparison."""
        match event:
            case Started():
                self.progress.phase("the first steps")
            case Noted(text=text):
                self.message.news(text)
            case Stepped():
                self._on_stepped(event)
            case Compared():
                self._on_compared(event)
            case Finished() | Stopped():
                self._settle()
                self.message.news(self._result(stopped=isinstance(event, Stopped)))
            case Failed(code=code, what=what, remedy=remedy, details=details):
                self._settle()
                self.message.error(InputError(code, what, remedy), details)

    def give_up(self, why: str) -> None:
        """Say that the engine died; the rows so far stay."""
        self._settle()
        self.message.error(InputError("U002", why, "compare the networks that are missing"))

    def call_off(self) -> None:
        """Give up a comparison that has not reached the engine yet."""
        self._copying.stop()
        self._settle()

    def shut_down(self) -> None:
        """End what runs for this dock."""
        self._copying.stop()
        super().shut_down()

    def _compose(self) -> None:
        self.recipe.native.setToolTip("Settings that all networks have in common.")
        self.name.setToolTip("The folder of the models and the table, among the models.")
        self.settings.addWidget(
            stack(
                ("", title("Images and their labels")),
                ("", self.material),
                ("", self.meaning),
                ("", self.meaning_words),
                ("", title("Networks")),
                ("", self.networks),
                ("recipe", self.recipe.native),
                ("", self.network),
                ("each for", self.budget),
                ("name", self.name),
            )
        )
        self.settings.addWidget(Fold("Seed, held-out share, device", self.plain))
        self.foot.insertWidget(0, self.cost)
        self.foot.insertWidget(1, self.run_button)
        self.foot.addWidget(self.table)
        self.table.hide()

    def _connect(self) -> None:
        self.offer_devices(self.plain.field("device"))
        for part in (self.material, self.network, self.plain, self.budget):
            part.changed.connect(self._on_choice)
        self.meaning.changed.connect(self._on_meaning)
        self.networks.chosen.connect(self._on_choice)
        self.recipe.changed.connect(self._on_recipe)
        self.name.textEdited.connect(self._on_named)
        self.run_button.clicked.connect(self._on_run)
        self._copying.done.connect(self._on_copied)
        self._copying.failed.connect(self._on_refused)
        self.table.refused.connect(self.message.error)

    def _on_choice(self) -> None:
        """Say what the comparison takes, or why there can be none."""
        why_not = self._check() or ("a comparison is running" if self.job else "")
        allow(self.run_button, why_not, "Train each network and score it.")

    def _check(self) -> str:
        """Return why nothing can be compared, or nothing."""
        names = self.networks.names
        self.cost.clear()
        if not self.name.isModified():
            self.name.setText(f"{self.material.name}-comparison".replace("/", "-"))
        if why_not := self.material.check(self.network.settings["ndim"]):
            return why_not
        try:
            self.cost.setText(_cost(len(names), self.config))
        except InputError as error:
            return f"{error.what}: {error.remedy}"
        return "" if names else "tick at least one network"

    def _on_meaning(self) -> None:
        """Ask for labels, or for targets; say what 0 means."""
        chosen = self.meaning.settings
        self.meaning_words.setText(MEANING[chosen["kind"], chosen["zero"]])
        self.material.aim(chosen["kind"])
        self._on_choice()

    def _on_recipe(self, name: str) -> None:
        """Take the size of the recipe; the space stays."""
        ndim = {"ndim": self.network.settings["ndim"]}
        config = TrainConfig.from_recipe(name, model=ndim)
        self.network.value = config.model
        self.budget.show_settings(config)
        self._on_choice()

    def _on_named(self, _text: str) -> None:
        self.name.setModified(True)

    def _on_run(self) -> None:
        sources = self.material.sources
        folder = free_folder(self.root, self.name.text().strip() or "comparison")
        self._order = CompareJob(
            job=uuid.uuid4().hex,
            config=self.config,
            architectures=tuple(self.networks.names),
            pairs=(),
            folder=str(folder),
        )
        self.rows = []
        self._show_rows()
        self.message.clear()
        self.progress.open("copying the layers")
        self.job = self._order.job
        self._copying.run(store_pairs, sources, self.engine.scratch)
        self._on_choice()

    def _on_copied(self, pairs: tuple[tuple[ArrayRef, ArrayRef], ...]) -> None:
        if self._order is not None:
            self._order = self._order.model_copy(update={"pairs": pairs})
            self.progress.phase("starting")
            self.engine.submit(self._order, self)

    def _on_refused(self, error: Exception) -> None:
        self._settle()
        self.message.error(error)

    def _on_stepped(self, event: Stepped) -> None:
        if self._order is None:
            return
        names, done, minutes = self._order.architectures, len(self.rows), self._order.config.minutes
        left_s = None
        if event.left_s is not None and minutes is not None:
            left_s = event.left_s + 60 * minutes * (len(names) - done - 1)
        words = f"{names[done]}, epoch {event.epoch + 1}"
        self.progress.advance((done + event.progress) / len(names), left_s, words)

    def _on_compared(self, event: Compared) -> None:
        self.rows.append(event.row)
        self._show_rows()

    def _show_rows(self) -> None:
        table = rank_table([_shown(row) for row in self.rows])
        self.table.show_table(table.columns, table.rows)
        self.table.setVisible(bool(self.rows))

    def _result(self, *, stopped: bool) -> str:
        """Say which network was best, and where everything is."""
        where = f"models and table are in {self._order.folder}" if self._order else ""
        words = "stopped; " if stopped else ""
        if best := best_row(self.rows):
            score, row = best
            name = self.rows[row]["architecture"]
            words += f"best {score}: {name}, {self.rows[row][score]:.4g}; "
        return words + where

    def _settle(self) -> None:
        """Show that no job runs."""
        self.job = ""
        self.progress.close_job()
        self._on_choice()


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Name a network in one column, so that the scores come next."""
    several = len(ARCHITECTURES[row["architecture"]].variants) > 1
    name = f"{row['architecture']}, {row['variant']}" if several else row["architecture"]
    return {"network": name} | {k: v for k, v in row.items() if k not in NAMES}


def _cost(n: int, config: TrainConfig) -> str:
    """Say how long all takes."""
    networks = "1 network" if n == 1 else f"{n} networks"
    if config.minutes is None:
        return f"{networks}, {config.epochs} epochs each"
    return f"{networks}: {duration(60 * n * config.minutes)} of training in all"
