"""The dock in which a network is trained on the layers that are open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QGridLayout, QLineEdit, QPushButton

from napari_unet.config import InputError, TrainConfig
from napari_unet.events import (
    Failed,
    Finished,
    Noted,
    Started,
    Stepped,
    Stopped,
    Validated,
)
from napari_unet.library.folders import free_folder
from napari_unet.ui.choice import ModelBox
from napari_unet.ui.continuing import TUNED, Continuing
from napari_unet.ui.dock import Dock, holds_model
from napari_unet.ui.going import Going
from napari_unet.ui.material import Material
from napari_unet.ui.network_view import NetworkView
from napari_unet.ui.panel import allow
from napari_unet.ui.results import Place
from napari_unet.ui.rows import Fold, stack, title
from napari_unet.ui.samples_view import sample_layers
from napari_unet.ui.showing import show_anew
from napari_unet.ui.train_form import TrainForm
from napari_unet.ui.training_run import TrainingRun, how_it_ended
from napari_unet.ui.watching import Watching
from napari_unet.ui.weighing import Weighing, Wish

if TYPE_CHECKING:
    from collections.abc import Mapping

    import napari.viewer

    from napari_unet.engine.jobs import Job
    from napari_unet.events import Event
    from napari_unet.metrics.diagnosis import Remedy

SAMPLES = 8
RESUMED = "Go on from the last checkpoint with the same settings, to the end that was planned."
PLANNED = "The plan may halve axes more or less often than this, as the images need."


class TrainDock(Dock):
    """Choose images and labels, see the weights, train, watch, stop, go on."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.material = Material(self.find)
        self.form = TrainForm(TrainConfig.from_recipe("quick"), self)
        self.continuing = Continuing(self)
        self.parent_model = ModelBox(TUNED, "begin anew")
        self.name, self.folder = QLineEdit(), QLineEdit(str(self.root))
        self.network = NetworkView()
        self.training = TrainingRun(self.engine.scratch, self)
        self.watching = Watching(viewer, self.engine, self.training, self.pace)
        self.going = Going(self.training, self.pace)
        self.weighing = Weighing(viewer, self)
        self._sampling = False  # the job is a look at the samples
        self._then: Remedy | None = None  # what follows when the run is stopped
        self._resumable = False  # the last training did not reach its end
        self._place: Place | None = None  # of the samples
        self._make_buttons()
        self._compose()
        self._connect()
        self.offer_model("")
        self.fill()

    def fill(self) -> None:
        """Offer the layers of the viewer."""
        self.material.fill(self.layers)

    def offer_model(self, folder: str) -> None:
        """Offer to go on from a model that was just made."""
        for box in (self.continuing.model, self.parent_model):
            box.fill(self.root)

    def handle(self, event: Event) -> None:
        """Follow the job."""
        self.training.take(event)
        match event:
            case Started() if not self._sampling:
                self.progress.phase("the first steps")
                self.going.open()
            case Noted(text=text):
                self.message.news(text)
            case Stepped():
                self._on_stepped(event)
            case Validated():
                self.going.refresh()
            case Finished() | Stopped():
                self._on_ended(event)
            case Failed(code=code, what=what, remedy=remedy, details=details):
                self._settle(resumable=False)
                self.message.error(InputError(code, what, remedy), details)
            case _:  # Saved, Beat; the rest is for `watching`
                pass

    def give_up(self, why: str) -> None:
        """Say that the engine died and offer to go on from the last checkpoint."""
        self._settle(resumable=True)
        again = "press Resume to go on from the last checkpoint"
        self.message.error(InputError("U002", why, "try again" if self._sampling else again))

    def call_off(self) -> None:
        """Give up a job that has not reached the engine yet."""
        self.training.abandon()
        self._settle(resumable=False)

    def shut_down(self) -> None:
        """End what runs for this dock."""
        self.training.abandon()
        self.watching.live.stop()
        self.weighing.stop()
        self.network.stop()
        super().shut_down()

    def _make_buttons(self) -> None:
        self.weights_button = QPushButton("Preview weights")
        self.samples_button = QPushButton("Preview samples")
        self.train_button = QPushButton("Train")
        self.resume_button = QPushButton("Resume")
        self.resume_button.setToolTip(RESUMED)
        self.resume_button.hide()

    def _compose(self) -> None:
        """Put the parts in their places."""
        self.name.setToolTip("What the model is called; one of that name is not written over.")
        self.folder.setToolTip("Where the folder of the model is made.")
        self.settings.addWidget(
            stack(
                ("", title("Images and their labels")),
                ("", self.material),
                ("", title("What the labels mean")),
                ("", self.form.meaning),
                ("", self.form.meaning_words),
                ("", title("Network")),
                ("recipe", self.form.recipe.native),
                ("", self.form.network),
                ("train for", self.form.budget),
                ("model name", self.name),
            )
        )
        self.drawn = Fold("The network", self.network)
        self.drawn.toggled.connect(self.network.set_open)
        self.settings.addWidget(self.drawn)
        form = self.form
        for words, *parts in (
            ("Network options", form.layers),
            ("Continue a model", self.continuing.model),
            ("Fine-tune a model", self.parent_model),
            ("Border weights", form.weights_words, form.weights),
            ("Loss", form.loss, form.terms),
            ("Augmentation", form.augment),
            ("Optimiser", form.optimiser),
            ("Labels: ignored value, ridge", form.labels),
            ("Plan, patches, device", form.plain),
            ("Folder of the models", self.folder),
        ):
            self.settings.addWidget(Fold(words, *parts))
        buttons = QGridLayout()
        buttons.addWidget(self.weights_button, 0, 0)
        buttons.addWidget(self.samples_button, 0, 1)
        for row, button in enumerate(
            (self.train_button, self.resume_button, self.continuing.button), start=1
        ):
            buttons.addWidget(button, row, 0, 1, 2)
        self.foot.insertLayout(0, buttons)
        self.foot.addWidget(self.watching)
        self.foot.addWidget(self.going)

    def _connect(self) -> None:
        self.offer_devices(self.form.plain.field("device"))
        self.material.changed.connect(self._on_choice)
        self.form.changed.connect(self._on_form)
        self.network.submitted.connect(self._on_asked)
        self.engine.happened.connect(self.network.take)
        self.engine.died.connect(self.network.give_up)
        self.name.textEdited.connect(self._on_named)
        self.weights_button.clicked.connect(self._on_preview_weights)
        self.samples_button.clicked.connect(self._on_preview_samples)
        self.train_button.clicked.connect(self._on_train)
        self.resume_button.clicked.connect(self._on_resume)
        self.continuing.button.clicked.connect(self._on_continue)
        self.continuing.model.chosen.connect(self._on_choice)
        self.continuing.model.refused.connect(self.message.error)
        self.parent_model.refused.connect(self.message.error)
        self.training.submitted.connect(self._on_submitted)
        self.training.refused.connect(self._on_refused)
        self.watching.told.connect(self.message.news)
        self.going.wanted.connect(self._on_remedy)
        self.going.refused.connect(self.message.error)
        self.pace.due.connect(self._on_due)
        self.weighing.weighed.connect(self._on_weighed)
        self.weighing.failed.connect(self.message.error)

    def _on_form(self) -> None:
        self.material.aim(self.form.kind)
        self._on_choice()

    def _on_asked(self, job: Job) -> None:
        self.engine.submit(job, self)

    def _on_choice(self) -> None:
        """Check what is chosen; say what is doubtful, and why a button cannot be pressed."""
        why = self._check()
        busy = "a job of this dock is running" if self.job else ""
        alike = (
            "in regression every pixel counts the same" if self.form.kind == "regression" else ""
        )
        shown = "Show how much each pixel counts in the loss, as layers that follow what you draw."
        allow(self.weights_button, why or alike, shown)
        self.weighing.want(None if why or alike else self._to_weigh())
        shown = "Show what the network will be shown, after augmentation."
        allow(self.samples_button, why or busy, shown)
        allow(self.train_button, why or busy, "Train the network.")
        ndim, budget = self.form.network.settings["ndim"], self.form.budget.settings
        self.continuing.check(budget, ndim, self.form.kind, why or busy)
        self._describe(fitting=not why)
        self.resume_button.setVisible(self._resumable and not self.job)

    def _check(self) -> str:
        """Return why nothing can be started, or nothing."""
        if not self.name.isModified() and self.material.name:
            self.name.setText(f"{self.material.name}-unet".replace("/", "-"))
        if why := self.material.check(self.form.network.settings["ndim"]):
            return why
        try:
            _ = self.form.value
        except InputError as error:
            self.material.doubts.mark(error)
            return f"{error.what}: {error.remedy}"
        return ""

    def _describe(self, *, fitting: bool) -> None:
        """Draw the network, for the chosen images if they fit, as far as it is known by now."""
        try:
            config = self.form.value
        except InputError:
            return
        model = self.material.fit(config.model) if fitting else config.model
        open_ = model.halvings is None and model.flat is None
        planned = config.plan == "full" or (config.plan == "axes" and model.ndim == 3)
        self.network.want(model, PLANNED if open_ and planned else "")

    def _on_named(self, _text: str) -> None:
        self.name.setModified(True)

    def _on_preview_weights(self) -> None:
        self.message.news("weighing the pixels")
        self.weighing.show()

    def _on_weighed(self, notes: tuple[str, ...]) -> None:
        self.message.news("; ".join(notes))

    def _to_weigh(self) -> Wish:
        config, axes = self.form.value, self.material.axes.axes.replace("C", "")
        keys = tuple(layer.unique_id for _, layer in self.material.chosen)
        return Wish(keys, axes, config.model.ndim, config.labels, config.weights)

    def _on_preview_samples(self) -> None:
        config, sources = self.form.value, self.material.sources
        (image, *_), _ = self.material.chosen[0]
        self._place = Place(image, self.material.axes.axes, config.model.ndim)
        self._open_job("making samples", sampling=True)
        self.job = self.training.sample(sources, config, SAMPLES)
        self._on_choice()

    def _on_train(self) -> None:
        name = self.name.text().strip() or "unet"
        folder = free_folder(Path(self.folder.text()).expanduser(), name)
        self._begin(self.form.value, folder, parent=self.parent_model.folder)
        self.message.news(f"training {folder.name}")

    def _on_continue(self) -> None:
        folder = Path(self.continuing.model.folder)
        try:
            config = self.continuing.config(self.form.budget.settings)
        except InputError as error:
            self.message.error(error)
            return
        self._begin(config, folder, resume=True)
        self.message.news(f"going on with {folder.name}")

    def _begin(
        self, config: TrainConfig, folder: Path, parent: str = "", *, resume: bool = False
    ) -> None:
        """Train on the layers that are chosen; what takes its time is done with the click."""
        sources = self.material.sources
        self.watching.choose(self.material.chosen, self.material.axes.axes)
        self._open_job("copying the layers")
        self.job = self.training.begin(sources, config, folder, parent, resume=resume)
        self._get_ready(config)

    def _get_ready(self, config: TrainConfig) -> None:
        """Make the layer and the curves in which the training will be watched."""
        self.watching.get_ready(config.model.ndim)
        self.going.get_ready()
        self._on_choice()

    def _on_held(self, held: bool) -> None:
        """Pause; or go on, with what was painted meanwhile."""
        if held or self._sampling or not self.watching.go_on():
            super()._on_held(held)

    def _on_resume(self) -> None:
        self._resume({})

    def _resume(self, budget: Mapping[str, Any]) -> None:
        """Go on with the last training, also for longer than it was to take."""
        self._open_job("going on from the last checkpoint")
        self.job = self.training.resume(budget)
        if self.training.order is not None:
            self._get_ready(self.training.order.config)

    def _open_job(self, words: str, *, sampling: bool = False) -> None:
        self._sampling = sampling
        self._resumable = self._resumable and sampling
        self.message.clear()
        self.progress.open(words)

    def _on_submitted(self, job: Job) -> None:
        self.progress.phase("starting")
        self.engine.submit(job, self)

    def _on_refused(self, error: Exception) -> None:
        if self.engine.pid(self.job):  # corrected labels: it goes on with the old ones
            self.engine.resume(self.job)
        else:
            self._settle(resumable=False)
        self.message.error(error)

    def _on_stepped(self, event: Stepped) -> None:
        self.progress.advance(event.progress, event.left_s, f"epoch {event.epoch + 1}")
        self.going.refresh()

    def _on_due(self) -> None:
        """Say how it goes, together with the next picture of the curves."""
        if self.job and not self._sampling:
            self.going.say()

    def _on_remedy(self, remedy: Remedy) -> None:
        """Do what the diagnosis offers; a run that goes on is stopped first."""
        order = self.training.order
        if order is not None and remedy.changes and remedy.action == "train":
            settings = order.config.model_dump(mode="json")
            self.form.value = TrainConfig.from_settings(settings, dict(remedy.changes))
        self._then = None if remedy.action == "stop" else remedy
        if self.job:
            self.progress.stop_button.click()
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Begin what was to follow the run that has ended."""
        then, self._then = self._then, None
        if then is not None and then.action == "resume":
            self._resume(then.changes)
        elif then is not None:
            self.train_button.click()

    def _on_ended(self, event: Finished | Stopped) -> None:
        self._settle(resumable=isinstance(event, Stopped))
        if self._sampling:
            self._show_samples(event)
            return
        if holds_model(event.path):
            self.continuing.model.choose(event.path)
        self.message.news(how_it_ended(event))
        if isinstance(event, Stopped):
            self._go_on()
        else:
            show_info(f"U-Net lab: {Path(event.path).name} is ready")

    def _show_samples(self, event: Finished | Stopped) -> None:
        if isinstance(event, Finished) and self._place is not None:
            for made in sample_layers(Path(event.path), self._place):
                show_anew(self.viewer, made)
            self.viewer.reset_view()

    def _settle(self, *, resumable: bool) -> None:
        """Show that no job runs; a training that did not reach its end can be resumed."""
        self.job = ""
        self.progress.close_job()
        if not self._sampling:
            self.watching.end()
            self.training.course.end()
            self.going.say()
            self._resumable = resumable and self.training.order is not None
        self._on_choice()
