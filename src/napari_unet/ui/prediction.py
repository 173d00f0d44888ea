"""A prediction as the window follows it: image out, layers in, tile by tile."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet.engine.jobs import PredictJob
from napari_unet.events import Failed, Finished, Started, Stopped, TileDone
from napari_unet.ui.background import Background
from napari_unet.ui.layers import find_layer, store
from napari_unet.ui.results import Place, load_results, open_results, result_layers, span
from napari_unet.ui.showing import focus, remove, show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import napari.viewer
    from napari.layers import Layer

    from napari_unet.config import PredictConfig
    from napari_unet.engine.jobs import ArrayRef
    from napari_unet.events import Event
    from napari_unet.library.card import Card
    from napari_unet.ui.layers import Source

REFRESH_MS = 250
LEISURE = 10  # times as long as the last refresh took, so that large layers do not block


class Prediction(QObject):
    """One prediction at a time, and the layers that belong to it.

    A prediction that fails leaves no layer; one that is stopped keeps what was done, with the
    share in the names of its layers. Layers are looked up by their key each time: the user may
    delete any of them at any moment.
    """

    submitted = Signal(object)  # PredictJob: for the engine
    refused = Signal(Exception)  # the image could not be handed over
    settled = Signal()  # all layers have their final data

    def __init__(self, viewer: napari.viewer.Viewer, scratch: Path, parent: QObject) -> None:
        super().__init__(parent)
        self.viewer, self._scratch = viewer, scratch
        self.keys: dict[str, object] = {}  # of the layers, by output
        self._arrays: Mapping[str, Any] = {}
        self._settings: dict[str, Any] = {}
        self._share = 0.0
        self._copying, self._loading = Background(self), Background(self)
        self._copying.done.connect(self._on_copied)
        self._copying.failed.connect(self.refused)
        self._loading.done.connect(self._on_loaded)
        self._loading.failed.connect(self.refused)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self.refresh)

    def begin(
        self,
        layer: Layer,
        source: Source,
        axes: str,
        folder: str,
        card: Card,
        config: PredictConfig,
    ) -> str:
        """Hand an image to the engine; return the name of the job.

        Parameters
        ----------
        layer : Layer
            The image, or its first channel: results are placed where it is.
        source : Source
            The image with all of its channels.
        axes : str
            Of the layer.
        folder, card
            The model.
        config : PredictConfig
            What to compute.
        """
        self.abandon()
        job = uuid.uuid4().hex
        self._card, self._place = card, Place(layer, axes, card.model.ndim)
        self._settings = {
            "job": job,
            "model": folder,
            "out": str(self._scratch / f"{job}.zarr"),
            "config": config,
            "focus": _spatial(focus(self.viewer, layer), axes, card.model.ndim),
        }
        self.keys, self._arrays, self._share = {}, {}, 0.0
        self._copying.run(_hand_over, source, self._scratch)
        return job

    def take(self, event: Event) -> None:
        """Follow the events of the job."""
        match event:
            case Started():
                self._add_layers()
            case TileDone(done=done, total=total):
                self._share = done / total
                if not self._timer.isActive():
                    self._timer.start()
            case Finished():
                self._settle("")
            case Stopped():
                self._settle(f" (stopped at {self._share:.0%})")
            case Failed():
                self.discard()

    def refresh(self) -> None:
        """Draw what landed since the last time."""
        started = time.perf_counter()
        self._each_layer(lambda _output, layer: layer.refresh())
        spent_ms = 1000 * (time.perf_counter() - started)
        self._timer.setInterval(max(REFRESH_MS, round(LEISURE * spent_ms)))

    def discard(self) -> None:
        """Take the layers of a failed prediction away."""
        self.abandon()
        for key in self.keys.values():
            remove(self.viewer, key)
        self.keys = {}

    def abandon(self) -> None:
        """Stop copying, loading and drawing."""
        self._copying.stop()
        self._loading.stop()
        self._timer.stop()

    def _on_copied(self, image: ArrayRef) -> None:
        self.submitted.emit(PredictJob(image=image, **self._settings))

    def _add_layers(self) -> None:
        self._arrays = open_results(self._settings["out"])
        made = result_layers(self._arrays, self._place, self._card, self._settings["job"])
        self.keys = {output: show(self.viewer, one) for output, one in made.items()}

    def _settle(self, suffix: str) -> None:
        self._timer.stop()
        self._each_layer(lambda _output, layer: _rename(layer, suffix))
        self._loading.run(load_results, self._arrays)

    def _on_loaded(self, loaded: Mapping[str, Any]) -> None:
        def settle(output: str, layer: Layer) -> None:
            if output in loaded:
                layer.data = loaded[output]
                if output.startswith("attention/"):
                    layer.contrast_limits = span(loaded[output])
            else:
                layer.refresh()

        self._each_layer(settle)
        self.settled.emit()

    def _each_layer(self, act: Callable[[str, Layer], None]) -> None:
        for output, key in self.keys.items():
            layer = find_layer(self.viewer.layers, key)
            if layer is not None:
                act(output, layer)


def _hand_over(source: Source, scratch: Path, stopped: Callable[[], bool]) -> ArrayRef:
    return store(source, scratch, stopped=stopped)


def _spatial(pixels: tuple[float, ...], axes: str, ndim: int) -> tuple[float, ...]:
    """Return the entries of the spatial axes; a colour axis of RGB has none."""
    return tuple(pixels[axes.index(letter)] for letter in "ZYX"[-ndim:])


def _rename(layer: Layer, suffix: str) -> None:
    layer.name = layer.name + suffix
