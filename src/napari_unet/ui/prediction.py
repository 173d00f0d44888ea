"""A prediction as the window follows it: image out, layers in, tile by tile."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_unet.engine.jobs import PredictJob
from napari_unet.events import Failed, Finished, Started, Stopped, TileDone
from napari_unet.ui.background import Background
from napari_unet.ui.filling import Filling, fillings, reopen, take_over
from napari_unet.ui.layers import find_layer, store
from napari_unet.ui.results import Place, done_share, open_results, result_axes, result_layers
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
    from napari_unet.tiling import Window
    from napari_unet.ui.layers import Source
    from napari_unet.ui.pace import Pace


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be predicted.

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
        What to compute, and where.
    out : Path or None
        Where the result is kept; None: in the scratch folder.
    truth : Source or None
        What the loss is measured against.
    resume : bool
        Whether to go on with what lies at `out`.
    """

    layer: Layer
    source: Source
    axes: str
    folder: str
    card: Card
    config: PredictConfig
    out: Path | None = None
    truth: Source | None = None
    resume: bool = False


class Prediction(QObject):
    """One prediction at a time, and the layers that belong to it.

    One that ends early keeps the tiles that are done, with their share in the names of its
    layers; where there are none, no layer is left. Layers are looked up by their key each time:
    the user may delete any of them at any moment.
    """

    submitted = Signal(object)  # PredictJob: for the engine
    refused = Signal(Exception)  # the image could not be handed over
    settled = Signal()  # all layers have their final data

    def __init__(self, viewer: napari.viewer.Viewer, scratch: Path, pace: Pace) -> None:
        super().__init__(pace.parent())
        self.viewer, self._scratch = viewer, scratch
        self.keys: dict[str, object] = {}  # of the layers, by output
        self.job: PredictJob | None = None  # the last one; resumed as it was
        self._layer: object = None  # the key of the image
        self._axes: tuple[int, ...] = ()  # of the image, that a result has
        self._filled: Mapping[str, Filling] = {}
        self._landed: list[TileDone] = []  # not taken over yet
        self._under_way: tuple[list[TileDone], tuple[str, ...]] = [], ()  # being taken over
        self._running, self._share, self._suffix, self._over = False, 0.0, "", False
        self._copying, self._taking = Background(self), Background(self)
        self._copying.done.connect(self._on_copied)
        self._copying.failed.connect(self.refused)
        self._taking.done.connect(self._on_taken)
        self._taking.failed.connect(self.refused)
        self._fresh: list[TileDone] | None = None  # taken over, not drawn yet
        self._limits: Mapping[str, Any] = {}  # of the contrast, of what was taken over as a whole
        self._pace = pace
        self._pace.due.connect(self._on_due)

    @property
    def unfinished(self) -> bool:
        """Whether it ended early and can go on, in layers that are still there."""
        layers = self.viewer.layers
        left = any(find_layer(layers, key) is not None for key in self.keys.values())
        return bool(self._suffix) and left

    @property
    def behind(self) -> bool:
        """Whether tiles have landed that are not drawn yet."""
        return bool(self._landed) or self._taking.busy or self._fresh is not None

    def begin(self, request: Request) -> str:
        """Hand an image to the engine; return the name of the job."""
        self.abandon()
        job, ndim = uuid.uuid4().hex, request.card.model.ndim
        self._place = Place(request.layer, request.axes, ndim)
        self._layer, self._axes = request.layer.unique_id, result_axes(request.axes, ndim)
        self._card, self._out = request.card, request.out or self._scratch / f"{job}.zarr"
        self._order = partial(
            PredictJob,
            job=job,
            model=request.folder,
            out=str(self._out),
            config=request.config,
            focus=self.focus(),
            resume=request.resume,
        )
        self.keys, self._filled = {}, {}
        self._share, self._suffix, self.job = 0.0, "", None
        self._running = True
        self._copying.run(hand_over, request, self._scratch)
        return job

    def resume(self) -> str:
        """Go on with the prediction that ended early, in the same layers; return its job."""
        if self.job is None:
            return ""
        self.abandon()
        self._running = True
        changes = {"resume": True, "focus": self.focus() or self.job.focus}
        self.job = self.job.model_copy(update=changes)
        self._rename("")
        self.submitted.emit(self.job)
        return self.job.job

    def focus(self) -> tuple[float, ...] | None:
        """Return the pixel looked at, leading axes first; None where the image is gone."""
        layer = find_layer(self.viewer.layers, self._layer)
        if layer is None:
            return None
        pixels = focus(self.viewer, layer)
        return tuple(pixels[axis] for axis in self._axes)

    def take(self, event: Event) -> None:
        """Follow the events of the job."""
        match event:
            case Started():
                self._add_layers()
            case TileDone(done=done, total=total):
                self._share = done / total
                self._landed.append(event)
                if not self._taking.busy and self._fresh is None:
                    self._run()
            case Finished():
                self._end("")
            case Stopped() | Failed():
                self.interrupt()

    def interrupt(self) -> None:
        """Keep what is done and say in the names of the layers how much that is."""
        if not self._running:
            return
        if self._share > 0:
            self._end(f" (incomplete {math.floor(100 * self._share)} %)")
        else:
            self.discard()

    def discard(self) -> None:
        """Take the layers of a prediction without tiles away."""
        self.abandon()
        for key in self.keys.values():
            remove(self.viewer, key)
        self.keys, self._filled = {}, {}

    def abandon(self) -> None:
        """Stop copying, taking over and drawing."""
        self._copying.stop()
        self._taking.stop()
        self._landed, self._fresh, self._running, self._over = [], None, False, False

    def _on_copied(self, references: tuple[ArrayRef, ArrayRef | None]) -> None:
        image, truth = references
        self.job = self._order(image=image, truth=truth)
        self.submitted.emit(self.job)

    def _add_layers(self) -> None:
        if self._filled or self.job is None:  # resumed: its layers are there
            return
        self._filled = fillings(open_results(self._out), self._scratch)
        made = result_layers(self._filled, self._place, self._card, self.job.job)
        self.keys = {output: show(self.viewer, one) for output, one in made.items()}
        if self.job.resume:
            self._share = done_share(self._out)
            self._run(tuple(self._filled))

    def _end(self, suffix: str) -> None:
        """Take over what is left; small results, and what tiles do not tell of, as a whole."""
        self._rename(suffix)
        self._running, self._over = False, True
        if not suffix:
            reopen(self._filled, self._out)
        whole = tuple(o for o, f in self._filled.items() if f.small or f.name == "instances")
        self._run(() if suffix else whole)

    def _run(self, whole: tuple[str, ...] = ()) -> None:
        """Take over what landed since the last time, and `whole` outputs, in a thread."""
        landed, self._landed = self._landed, []
        if self._taking.busy:  # that call is forgotten now; its work is not
            landed, whole = self._under_way[0] + landed, self._under_way[1] + whole
        self._under_way = landed, whole
        windows = {o: self._windows(filling, landed) for o, filling in self._filled.items()}
        self._taking.run(take_over, self._filled, windows, whole)

    @property
    def _origin(self) -> tuple[int, ...]:
        """The pixel of the image at which the results begin."""
        region = (self.job and self.job.config.region) or ()
        return tuple(start for start, _ in region) or (0,) * len(self._axes)

    def _windows(self, filling: Filling, landed: list[TileDone]) -> list[Window]:
        return [filling.window(tile.start, tile.stop, self._origin) for tile in landed]

    def _in_sight(self, tiles: list[TileDone]) -> bool:
        """Whether any of these tiles lies in the slice that is shown."""
        layer, point = find_layer(self.viewer.layers, self._layer), self.focus()
        if layer is None or point is None:
            return True
        shown = {axis - self.viewer.dims.ndim + layer.ndim for axis in self.viewer.dims.displayed}
        hidden = [i for i, axis in enumerate(self._axes) if axis not in shown]
        at = {i: round(point[i]) - self._origin[i] for i in hidden}
        return any(all(t.start[i] <= at[i] < t.stop[i] for i in hidden) for t in tiles)

    def _on_taken(self, limits: Mapping[str, Any]) -> None:
        landed, whole = self._under_way
        first = self._fresh is None
        self._fresh = [*(self._fresh or ()), *landed]
        self._limits = {**({} if first else self._limits), **limits}
        if self._over or whole:
            self._on_due()
        else:
            self._pace.ask()

    def _on_due(self) -> None:
        """Draw what was taken over, and take over what landed meanwhile."""
        fresh, self._fresh = self._fresh, None
        if fresh is not None and (self._over or self._limits or self._in_sight(fresh)):
            self._each_layer(self._draw)
        if self._landed and not self._taking.busy:
            self._run()
        elif self._over and not self._taking.busy and fresh is not None:
            self._over = False
            self.settled.emit()

    def _draw(self, output: str, layer: Layer) -> None:
        """Draw a layer again; one that is hidden does nothing."""
        if output in self._limits:
            layer.contrast_limits = self._limits[output]
        filling = self._filled[output]
        if self._over and not filling.small:
            layer.data = filling.data  # as it is on disk at the end
        else:
            layer.refresh(extent=False, thumbnail=self._over)

    def _rename(self, suffix: str) -> None:
        """Change how the names of all layers end."""
        before, self._suffix = self._suffix, suffix

        def rename(_output: str, layer: Layer) -> None:
            layer.name = layer.name.removesuffix(before) + suffix

        self._each_layer(rename)

    def _each_layer(self, act: Callable[[str, Layer], None]) -> None:
        for output, key in self.keys.items():
            layer = find_layer(self.viewer.layers, key)
            if layer is not None:
                act(output, layer)


def needed_window(source: Source, ndim: int, config: PredictConfig) -> Window | None:
    """Return which part of an image a prediction may read; None: all of it.

    Planes outside of the region are not needed. Of the others every pixel may be: grey values
    are measured all over a plane.
    """
    if config.region is None:
        return None
    window = [slice(0, n) for n in source.data.shape]
    for axis, (start, stop) in zip(result_axes(source.axes, ndim), config.region, strict=True):
        if source.axes[axis] not in "ZYX"[-ndim:]:
            window[axis] = slice(start, stop)
    return tuple(window)


def hand_over(
    request: Request, scratch: Path, stopped: Callable[[], bool]
) -> tuple[ArrayRef, ArrayRef | None]:
    """Make an image, and its truth, readable for the engine; runs in a thread."""
    window = needed_window(request.source, request.card.model.ndim, request.config)
    image = store(request.source, scratch, within=window, stopped=stopped)
    if request.truth is None:
        return image, None
    return image, store(request.truth, scratch, snapshot=True, stopped=stopped)
