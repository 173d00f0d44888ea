"""What the docks have in common that apply a model to an image: Predict and Inspect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.config import InputError
from napari_unet.events import Failed, Finished, Noted, Started, Stopped, TileDone
from napari_unet.metrics.duration import duration
from napari_unet.ui.dock import Dock
from napari_unet.ui.looking import Looking
from napari_unet.ui.prediction import Prediction, Request
from napari_unet.ui.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    import napari.viewer

    from napari_unet.config import PredictConfig
    from napari_unet.engine.jobs import Job
    from napari_unet.events import Event


class PredictingDock(Dock):
    """A dock with a model, an image, and a prediction that it follows."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.subject = Subject(self.find)
        self.prediction = Prediction(viewer, self.engine.scratch, self.pace)
        self.looking = Looking(viewer, self)
        self.subject.changed.connect(self.check)
        self.subject.model.refused.connect(self.message.error)
        self.prediction.submitted.connect(self._on_submitted)
        self.prediction.refused.connect(self._on_refused)
        self.looking.moved.connect(self._on_moved)

    def check(self) -> None:
        """Allow what can be done with what is chosen, and say why not."""
        raise NotImplementedError

    def request(self, config: PredictConfig) -> Request | None:
        """Return what the boxes say is to be predicted; None while something is missing."""
        layer, card, source = self.subject.layer, self.subject.card, self.subject.source
        if layer is None or card is None or source is None:
            return None
        axes, folder = self.subject.axes.axes, self.subject.model.folder
        return Request(layer, source, axes, folder, card, config)

    def begin(self, request: Request | None) -> None:
        """Apply a model to an image."""
        if request is None:
            return
        self.message.clear()
        self.progress.open("copying the image")
        self.job = self.prediction.begin(request)
        self.check()

    def fill(self) -> None:
        """Offer the layers of the viewer."""
        self.subject.fill(self.layers)

    def offer_model(self, folder: str) -> None:
        """Choose a model that was just made."""
        self.subject.model.choose(folder)

    def handle(self, event: Event) -> None:
        """Follow the prediction."""
        self.prediction.take(event)
        match event:
            case Started():
                self.progress.phase("the first tile")
            case Noted(text=text):
                self.message.news(text)
            case TileDone(done=done, total=total, left_s=left_s):
                self.progress.advance(done / total, left_s, f"tile {done} of {total}")
            case Finished(summary=summary):
                self._settle()
                self.message.news(_story(summary))
            case Stopped():
                self._settle()
                self.message.news("stopped; the tiles that were done are kept")
            case Failed(code=code, what=what, remedy=remedy, details=details):
                self._settle()
                self.message.error(InputError(code, what, remedy), details)

    def give_up(self, why: str) -> None:
        """Say that the engine died; the tiles that were done are kept, and named unfinished."""
        self.prediction.interrupt()
        self._settle()
        kept = self.prediction.unfinished
        remedy = "press Resume for the missing tiles" if kept else "press the button again"
        self.message.error(InputError("U002", why, remedy))

    def call_off(self) -> None:
        """Give up a prediction that has not reached the engine; tiles of before are kept."""
        self.prediction.interrupt()
        self._settle()

    def shut_down(self) -> None:
        """End what runs for this dock."""
        self.looking.stop()
        self.prediction.interrupt()
        self.prediction.abandon()
        super().shut_down()

    def _on_submitted(self, job: Job) -> None:
        self.progress.phase("opening the model")
        self.engine.submit(job, self)

    def _on_refused(self, error: Exception) -> None:
        self.engine.cancel(self.job)  # it may be at work: what it has made could not be read
        self.prediction.discard()
        self._settle()
        self.message.error(error)

    def _on_moved(self) -> None:
        """Let the tiles come first that the user looks at now."""
        point = self.prediction.focus() if self.job else None
        if point is not None:
            self.engine.focus(self.job, point)

    def _settle(self) -> None:
        self.job = ""
        self.progress.close_job()
        self.check()


def _story(summary: Mapping[str, Any]) -> str:
    """Say how a prediction went."""
    tiles, computed = summary.get("tiles", 0), summary.get("computed")
    words = "1 tile" if tiles == 1 else f"{tiles:,} tiles"
    if computed is not None and computed != tiles:
        words += f", {computed} of them computed now"
    return f"done in {duration(summary.get('elapsed_s', 0.0))} ({words})"
