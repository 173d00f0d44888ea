"""Weight maps that follow the labels and the settings, once they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet.config import InputError
from napari_unet.ui.background import Background
from napari_unet.ui.layers import find_layer, source_of
from napari_unet.ui.results import Place
from napari_unet.ui.showing import find_marked, remove, show_anew
from napari_unet.ui.weights import map_layers, weight_maps

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

    from napari_unet.config import LabelConfig, WeightConfig
    from napari_unet.ui.weights import Maps

CALM_MS = 150  # between two strokes, or two positions of a slider


@dataclass(frozen=True)
class Wish:
    """What to weigh, and how: the `unique_id` of layers of labels, and what `weight_maps` takes."""

    keys: tuple[object, ...]
    axes: str  # of the labels
    ndim: int
    labels: LabelConfig
    weights: WeightConfig


class Weighing(QObject):
    """Shows the weights of labels as layers, and anew whenever these or the settings change.

    The maps are made in a thread, one after the other; what changes meanwhile is taken into the
    next ones. A map that the user deletes ends it. Of the maps, `shown` is visible.
    """

    weighed = Signal(tuple)  # notes, in words
    failed = Signal(Exception)
    ended = Signal()  # because the user has deleted a map

    def __init__(
        self, viewer: napari.viewer.Viewer, parent: QObject, shown: str = "total weight"
    ) -> None:
        super().__init__(parent)
        self._viewer, self._visible = viewer, shown
        self._wish: Wish | None = None
        self._live = False
        self._stale = False  # something changed while maps were made
        self._places: list[tuple[Place, object]] = []
        self._shown: list[object] = []  # keys of our layers
        self._watched: list[Layer] = []
        self._point: tuple[float, ...] = ()
        self._work = Background(self)
        self._work.done.connect(self._on_done)
        self._work.failed.connect(self._on_failed)
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(CALM_MS)
        self._calm.timeout.connect(self._on_calm)

    @property
    def live(self) -> bool:
        """Whether the maps are shown and follow."""
        return self._live

    def want(self, wish: Wish | None) -> None:
        """Take the choice and the settings as they are now; None if they cannot be used."""
        if wish == self._wish:
            return
        self._wish = wish
        if self._live:
            self._calm.start()

    def show(self) -> None:
        """Make the maps now, and from now on."""
        self._shown = []
        self._live = True
        self._on_calm()

    def stop(self) -> None:
        """Follow no more; the layers stay."""
        self._live = self._stale = False
        self._calm.stop()
        self._work.stop()
        self._watch([])

    def _on_drawn(self, _event: object = None) -> None:
        if isalive(self) and self._live:
            self._calm.start()

    def _on_redrawn(self, _event: object = None) -> None:
        """Take in an undone stroke or another array; napari says the same of another plane."""
        if not isalive(self):
            return
        before, self._point = self._point, self._viewer.dims.point
        if before == self._point:
            self._on_drawn()

    def _on_calm(self) -> None:
        if not self._still_wanted() or self._wish is None:
            return
        self._stale = self._work.busy
        if self._stale:
            return
        wish = self._wish
        layers = [layer for key in wish.keys if (layer := find_layer(self._viewer.layers, key))]
        try:
            sources = [source_of(layer, wish.axes) for layer in layers]
        except InputError as error:
            self.failed.emit(error)
            return
        self._watch(layers)
        self._places = [(Place(layer, wish.axes, wish.ndim), layer.unique_id) for layer in layers]
        self._work.run(weight_maps, sources, wish.ndim, wish.labels, wish.weights)

    def _on_done(self, maps: list[Maps]) -> None:
        if not self._still_wanted():
            return
        self._shown = []
        for one, (place, key) in zip(maps, self._places, strict=False):
            made = map_layers(one, place.keywords(), key, self._visible)
            self._shown += [show_anew(self._viewer, layer) for layer in made]
            if not one.ignored.any():  # there may have been some before
                self._remove({"labels": key, "map": "ignored"})
        self.weighed.emit(maps[0].notes if maps else ())
        self._catch_up()

    def _on_failed(self, error: Exception) -> None:
        self.failed.emit(error)
        self._catch_up()

    def _catch_up(self) -> None:
        if self._stale:
            self._calm.start()

    def _still_wanted(self) -> bool:
        """Stop, and say so, if the user has deleted a map."""
        if self._live and not all(find_layer(self._viewer.layers, key) for key in self._shown):
            self.stop()
            self.ended.emit()
        return self._live

    def _remove(self, mark: dict[str, Any]) -> None:
        layer = find_marked(self._viewer, mark)
        if layer is not None:
            remove(self._viewer, layer.unique_id)

    def _watch(self, layers: list[Layer]) -> None:
        """Hear of what is drawn on `layers`, and no longer of what was watched before."""
        if layers == self._watched:
            return
        for layer in self._watched:
            layer.events.paint.disconnect(self._on_drawn)
            layer.events.labels_update.disconnect(self._on_drawn)
            layer.events.set_data.disconnect(self._on_redrawn)
        self._point = self._viewer.dims.point
        self._watched = layers
        for layer in self._watched:
            layer.events.paint.connect(self._on_drawn)
            layer.events.labels_update.connect(self._on_drawn)
            layer.events.set_data.connect(self._on_redrawn)
