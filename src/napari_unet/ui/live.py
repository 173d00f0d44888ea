"""What a network in training makes of the image that is looked at, as layers that follow it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Signal

from napari_unet.config import InputError, LabelConfig
from napari_unet.engine.jobs import Ask, Focus
from napari_unet.events import Doubted, Previewed
from napari_unet.ui.background import Background
from napari_unet.ui.correcting import Grid, Painted, take_over
from napari_unet.ui.layers import find_layer, source_of, store
from napari_unet.ui.looking import Looking
from napari_unet.ui.results import MARK, LayerTuple, Place, open_results, result_axes
from napari_unet.ui.showing import find_marked, focus, go_to, remove, show, show_anew

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import napari.viewer
    from napari.layers import Layer

    from napari_unet.engine.jobs import ArrayRef, TrainJob
    from napari_unet.ui.pace import Pace

LIVE, LOSS, NEXT = {"live": "view"}, {"live": "loss"}, {"live": "next"}
Shown = tuple[str, Any, dict[str, Any]]  # name, array, attributes


@dataclass(frozen=True, slots=True)
class Watched:
    """A pair of layers that is trained on, and where the engine finds the image."""

    images: tuple[object, ...]  # keys of its channels
    labels: object
    place: Place
    reference: ArrayRef


class Live(QObject):
    """Asks a training about what the user looks at, and shows the answers.

    Parameters
    ----------
    viewer : napari.Viewer
        Where layers are looked at, and shown.
    scratch : Path
        Where answers go.
    pace : Pace
        When the window shows what is new.
    """

    ordered = Signal(object)  # Focus or Ask: for the engine
    told = Signal(str)  # something the user should know

    def __init__(self, viewer: napari.viewer.Viewer, scratch: Path, pace: Pace) -> None:
        super().__init__(pace.parent())
        self._pace = pace
        self._fresh: tuple[str, list[Shown]] | None = None  # an answer that is not shown yet
        self.viewer, self._scratch = viewer, scratch
        self.enabled = True
        self._job, self._axes, self._ndim, self._labels = "", "", 2, LabelConfig()
        self.kind = ""  # of the labels, as the training reads them
        self.painted = Painted(self)  # what the training learns from
        self._pairs: list[Watched] = []
        self._waiting = False  # the user looks elsewhere and has not seen the answer
        self._others: dict[object, ArrayRef] = {}  # images that are not trained on
        self._places: dict[str, tuple[Place, int]] = {}  # of the image, by folder of answers
        self._shown: tuple[Any, Grid, int] | None = None  # as it came; where; the pair
        self._next: list[tuple[int, ...]] = []  # places of doubt, not gone to yet
        self._marks: dict[int, LayerTuple] = {}  # of the places, not shown yet, by pair
        self._looking = Looking(viewer, self)
        self._looking.moved.connect(self.look)
        self._reading, self._losses, self._storing = (Background(self) for _ in range(3))
        self._reading.done.connect(self._on_read)
        self._pace.due.connect(self._on_due)
        self._losses.done.connect(self._on_losses)
        self._storing.done.connect(self._on_stored)
        for work in (self._reading, self._losses, self._storing):
            work.failed.connect(lambda error: self.told.emit(str(error)))

    def get_ready(
        self, chosen: Sequence[tuple[Sequence[Layer], Layer]], axes: str, ndim: int
    ) -> None:
        """Make the layer of the view for a training that is about to start, still empty.

        napari takes a few tenths of a second for a new layer: nobody minds at the click.
        """
        if chosen and self.enabled:
            (images, truth), *_ = chosen
            place = Place(images[0], axes, ndim)
            self._open(place, truth.unique_id, len(result_axes(axes, ndim)))

    def begin(
        self, order: TrainJob, chosen: Sequence[tuple[Sequence[Layer], Layer]], axes: str
    ) -> None:
        """Follow a training on images and labels (or targets); `axes` are those of the images."""
        self._job, self._axes, self._labels = order.job, axes, order.config.labels
        self.kind = self._labels.kind
        self._ndim = order.config.model.ndim
        self._pairs = [
            Watched(
                tuple(image.unique_id for image in images),
                truth.unique_id,
                Place(images[0], axes, self._ndim),
                reference,
            )
            for (images, truth), (reference, _) in zip(chosen, order.pairs, strict=True)
        ]
        self._others, self._places, self._shown = {}, {}, None
        self._next, self._marks = [], {}
        drawn = [truth for _, truth in chosen if isinstance(truth, Labels)]
        self.painted.watch(drawn)
        self.look()

    def end(self) -> None:
        """Follow nothing any more; the live view goes, because no model has it."""
        self._job, self._fresh = "", None
        for work in (self._reading, self._losses, self._storing):
            work.stop()
        self._close()
        self.painted.stop()

    def stop(self) -> None:
        """Look away; the dock is gone."""
        self.end()
        self._looking.stop()

    def turn(self, on: bool) -> None:
        """Show the live view, or take it away."""
        self.enabled = on
        if on and self._job:
            first, *_ = self._pairs
            self._open(first.place, first.labels, len(result_axes(self._axes, self._ndim)))
            self.look()
        else:
            self._close()

    def look(self) -> None:
        """Ask what the network makes of what the user looks at."""
        layer = self._looked_at() if self._job and self.enabled else None
        if layer is None:
            return
        pair = self._pair_of(layer)
        if pair >= 0:
            self._focus(layer, self._pairs[pair].reference, self._pairs[pair].place, pair)
        elif layer.unique_id in self._others:
            place = Place(layer, self._axes, self._ndim)
            self._focus(layer, self._others[layer.unique_id], place, -1)
        elif not self._storing.busy:
            source = source_of(layer, self._axes)
            self._storing.run(_hand_over, layer.unique_id, source, self._scratch)

    def ask(self, about: str) -> None:
        """Ask for the loss of what is held out; or go to the next place of doubt."""
        if about == "doubt" and self._next:
            self._go_on()
        elif self._job:
            self.ordered.emit(Ask(job=self._job, about=about, out=str(self._scratch)))

    def take(self, event: Previewed | Doubted) -> None:
        """Show an answer."""
        match event:
            case Doubted(places=places, doubts=doubts):
                self._show_doubts(places, doubts)
            case Previewed(about="loss", path=path):
                self._losses.run(read_preview, Path(path))
            case Previewed(path=path):
                self._reading.run(read_preview, Path(path))

    def keep_painted(self) -> int:
        """Write what was painted over the live view into the labels; return how many pixels."""
        layer, shown = find_marked(self.viewer, LIVE), self._shown
        if layer is None or shown is None or shown[2] < 0:
            return 0
        before, grid, pair = shown
        labels = find_layer(self.viewer.layers, self._pairs[pair].labels)
        if labels is None or layer.data.shape != before.shape:
            return 0
        self._shown = layer.data.copy(), grid, pair
        config = self._labels.model_copy(update={"kind": self.kind})
        return take_over(labels, layer.data, before, grid, config)

    def _open(self, place: Place, truth: object, n: int) -> None:
        """Make an empty layer with `n` axes that looks like the labels, or like the target.

        Not if there is one, or if the labels are gone.
        """
        layer = find_layer(self.viewer.layers, truth)
        if layer is None or find_marked(self.viewer, LIVE) is not None:
            return
        values = isinstance(layer, Image)
        nothing = np.zeros((1,) * n, np.float32 if values else np.int32)
        data, meta, kind = live_layer(nothing, place.keywords())
        look = {"colormap": layer.colormap}
        if values:
            look["contrast_limits"] = tuple(layer.contrast_limits)
        show(self.viewer, (data, meta | look, kind))

    def _close(self) -> None:
        """Take the layer away; what was painted over it stays, in the labels."""
        self.keep_painted()
        self._shown = None
        layer = find_marked(self.viewer, LIVE)
        if layer is not None:
            remove(self.viewer, layer.unique_id)

    def _looked_at(self) -> Layer | None:
        """Return the topmost image that is visible and that the network can take."""
        for layer in reversed(self.viewer.layers):
            if not isinstance(layer, Image) or not layer.visible or MARK in layer.metadata:
                continue
            if self._pair_of(layer) >= 0:
                return layer
            try:
                source_of(layer, self._axes)
            except InputError:
                continue
            return layer
        return None

    def _pair_of(self, layer: Layer) -> int:
        key = layer.unique_id
        return next((k for k, pair in enumerate(self._pairs) if key in pair.images), -1)

    def _focus(self, layer: Layer, image: ArrayRef, place: Place, pair: int) -> None:
        pixels = focus(self.viewer, layer)
        point = tuple(pixels[axis] for axis in result_axes(self._axes, self._ndim))
        out = self._scratch / f"live-{self._job}-{layer.unique_id}"
        self._places[out.name] = place, pair
        self._waiting = True
        self.ordered.emit(Focus(job=self._job, point=point, image=image, pair=pair, out=str(out)))

    def _on_stored(self, found: tuple[object, ArrayRef]) -> None:
        key, reference = found
        self._others[key] = reference
        self.look()

    def _on_read(self, read: tuple[str, list[Shown]]) -> None:
        self._fresh = read
        self._pace.ask(soon=self._waiting)
        self._waiting = False

    def _on_due(self) -> None:
        (folder, arrays), self._fresh = self._fresh or ("", []), None
        if folder not in self._places or not self.enabled:
            return
        self.keep_painted()
        place, pair = self._places[folder]
        for name, array, attrs in arrays:
            if name in {"classes", "values"}:
                self._show(name, array, place, attrs, pair)

    def _show(self, name: str, array: Any, place: Place, attrs: dict[str, Any], pair: int) -> None:
        if name == "values":
            array = array[0]
        data, grid = _placed(array, attrs)
        self._open(place, self._pairs[max(pair, 0)].labels, data.ndim)
        show_anew(self.viewer, live_layer(data, place.keywords(grid.stride, grid.start)))
        self._shown = (data.copy(), grid, pair) if name == "classes" else None

    def _on_losses(self, read: tuple[str, list[Shown]]) -> None:
        _, arrays = read
        for name, array, attrs in arrays:
            place = self._pairs[attrs["pair"]].place
            data, grid = _placed(array, attrs)
            known = array[np.isfinite(array)]
            most = float(np.percentile(known, 99.8)) if known.size else 1.0
            meta = {
                "name": f"{place.name}: validation loss",
                "metadata": {MARK: {**LOSS, "of": name}},
                "colormap": "inferno",
                "blending": "translucent",
                "opacity": 0.7,
                "contrast_limits": (0.0, max(most, 1e-6)),
                **place.keywords(grid.stride, grid.start),
            }
            show_anew(self.viewer, (data, meta, "image"))

    def _show_doubts(self, places: Sequence[Sequence[int]], doubts: Sequence[float]) -> None:
        self._next = [tuple(place) for place in places]
        self._marks = {}
        for pair, watched in enumerate(self._pairs):
            mine = [k for k, place in enumerate(places) if place[0] == pair]
            points = np.array([places[k][1:] for k in mine], float)
            marks = doubt_layer(points, [doubts[k] for k in mine], watched)
            earlier = find_marked(self.viewer, marks[1]["metadata"][MARK])
            if mine and earlier is None:
                self._marks[pair] = marks
            elif mine:
                show_anew(self.viewer, marks)
            elif earlier is not None:
                remove(self.viewer, earlier.unique_id)
        self.told.emit(f"{len(places)} places where the network is least sure: paint labels there")
        self._go_on()

    def _go_on(self) -> None:
        if not self._next:
            return
        pair, *pixel = self._next.pop(0)
        if pair in self._marks:  # napari takes a tenth of a second for each new layer of points
            show_anew(self.viewer, self._marks.pop(pair))
        layer = find_layer(self.viewer.layers, self._pairs[pair].labels)
        if layer is not None:
            go_to(self.viewer, layer, pixel)


def _placed(array: Any, attrs: dict[str, Any]) -> tuple[Any, Grid]:
    """Return an answer with the axes of its image, and where it lies."""
    lead, offset, stride = attrs["lead"], attrs["offset"], attrs["stride"]
    data = array.reshape((1,) * len(lead) + array.shape)
    return data, Grid((*lead, *offset), (*(1.0,) * len(lead), *stride))


def live_layer(data: Any, where: Mapping[str, Any]) -> LayerTuple:
    """Show classes (integers) as labels, or values as an image."""
    meta = {"name": "live view", "metadata": {MARK: dict(LIVE)}, "opacity": 0.5, **where}
    return data, meta, "labels" if np.issubdtype(data.dtype, np.integer) else "image"


def doubt_layer(points: Any, doubts: Sequence[float], watched: Watched) -> LayerTuple:
    """Mark places of doubt (N, axes) in an image as points, with their doubt as feature."""
    meta = {
        "name": f"{watched.place.name}: where next",
        "metadata": {MARK: {**NEXT, "image": watched.place.name}},
        "features": {"doubt": list(doubts)},
        "face_color": "transparent",
        "border_color": "#e69f00",
        "size": 32,
        **watched.place.keywords(),
    }
    return points, meta, "points"


def read_preview(path: Path, stopped: Callable[[], bool]) -> tuple[str, list[Shown]]:
    """Read an answer into memory and remove it; runs in a thread."""
    arrays = [
        (name, np.asarray(array[:]), dict(array.attrs))
        for name, array in open_results(path).items()
    ]
    shutil.rmtree(path, ignore_errors=True)
    return path.parent.name, arrays


def _hand_over(
    key: object, source: Any, scratch: Path, stopped: Callable[[], bool]
) -> tuple[object, ArrayRef]:
    return key, store(source, scratch, stopped=stopped)
