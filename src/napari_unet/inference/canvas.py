"""The arrays of a prediction, and how a tile gets onto them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.axes import result_axes
from napari_unet.inference.regions import inside
from napari_unet.library.card import restore
from napari_unet.models.geometry import gate_strides
from napari_unet.models.tiles import probabilities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import DTypeLike, NDArray

    from napari_unet.inference.outputs import Outputs
    from napari_unet.inference.task import Task
    from napari_unet.inference.truth import Truth
    from napari_unet.models.strips import Maps
    from napari_unet.tiling import Window

HIDDEN = ".classes"  # where classes lie that only instances are made from

# Bytes that writing a pixel takes beyond its logits: as such, and per channel.
WRITING: Mapping[str, tuple[int, int]] = {
    "classes": (10, 4),
    "probabilities": (10, 8),
    "values": (0, 20),
    "uncertainty": (8, 38),
    "loss": (42, 20),
}
MASKING = 16  # the same for an outline


def writing_bytes(outputs: Sequence[str], channels: int, *, outlined: bool) -> int:
    """Return how much memory a `Canvas` takes while it writes a tile, per pixel, at most.

    Parameters
    ----------
    outputs : sequence of str
        What is written, one after the other; none: classes.
    channels : int
        Of the logits, which do not count.
    outlined : bool
        Whether the region has an outline.
    """
    costs = [WRITING.get(name, WRITING["classes"]) for name in outputs or ("classes",)]
    return max(fixed + each * max(2, channels) for fixed, each in costs) + MASKING * outlined


class Canvas:
    """One array per output, of the size of the region, filled tile by tile.

    Parameters
    ----------
    task : Task
        What is predicted.
    outputs : Outputs
        Where the arrays go.
    truth : Truth, optional
        What the loss is measured against.
    """

    def __init__(self, task: Task, outputs: Outputs, truth: Truth | None = None) -> None:
        self.task, self.outputs, self.truth = task, outputs, truth
        values = [c.value for c in task.model.card.classes]
        self.label_values = np.asarray(values, np.min_scalar_type(max(values, default=0)))
        self.strides: Mapping[str, tuple[int, ...]] = {}  # pixels per cell of each gate
        if "attention" in task.config.outputs:
            self.strides = gate_strides(task.model.card.model)
        self.arrays: dict[str, Any] = {}

    def create(self) -> None:
        """Make the arrays, or open those of a result that is gone on with."""
        names = set(self.task.config.outputs)
        for name in sorted(names - {"attention"}):
            self.arrays[name] = self._create(name)
        if "instances" in names and "classes" not in names:
            self.arrays["classes"] = self._create(HIDDEN)
        for gate, stride in self.strides.items():
            self.arrays[f"attention/{gate}"] = self._create_gate(gate, stride)

    def write(self, lead: tuple[int, ...], window: Window, maps: Sequence[Maps]) -> None:
        """Write what the passes of a tile told, the plain one first, as the image lies.

        Parameters
        ----------
        lead : tuple of int
            Position on the leading axes of the image.
        window : tuple of slice
            The pixels of the image that the tile writes.
        maps : sequence of Maps
            "logits" (K, *seen), and alpha (1, *cells) of every gate by its name, as the network
            sees the window.
        """
        maps = [self._bring_back(each, window) for each in maps]
        region = self.task.grid.region
        mask = None if region.outline is None else inside(region.outline, window)
        at = region.place(lead, window)
        for name in self.arrays:
            if name.startswith("attention/") or name == "instances":
                continue
            found = self._look(name, lead, window, maps)
            if mask is not None:
                found = np.where(mask, found, np.nan if _is_unknown(name) else 0)
            several = (slice(None),) if found.ndim > len(window) else ()
            self.arrays[name][(*several, *at)] = found
        for gate, stride in self.strides.items():
            self._write_gate(gate, stride, lead, window, maps[0][gate][0])

    def _bring_back(self, maps: Maps, window: Window) -> Maps:
        """Return what the network told in pixels of the image, gates in cells of as many."""
        zoom = self.task.zoom
        return {k: zoom.back(told, window, self.strides.get(k)) for k, told in maps.items()}

    def _look(
        self, name: str, lead: tuple[int, ...], window: Window, maps: Sequence[Maps]
    ) -> NDArray[Any]:
        """Return an output of a tile: (*written), or with channels (K, *written)."""
        logits = maps[0]["logits"]
        match name:
            case "classes":
                best = logits.argmax(axis=0) if len(logits) > 1 else (logits[0] > 0).astype(np.intp)
                return np.asarray(self.label_values[best])
            case "probabilities":
                return probabilities(logits)
            case "values":
                values = restore(logits, self.task.model.card.target)
                return values if len(values) > 1 else values[0]
            case "uncertainty":
                return self._spread(maps)
        if self.truth is None:
            raise ValueError("the loss needs a truth")
        return self.truth.loss(logits, lead, window)

    def _spread(self, maps: Sequence[Maps]) -> NDArray[np.float32]:
        """Return how much the passes differ: their standard deviation, of the worst channel."""
        target = self.task.model.card.target
        plain = self.task.config.passes == "dropout"  # is then no draw
        mean, squares = np.zeros((2, 1))
        for n, each in enumerate(maps[int(plain) :], 1):  # Welford: no pass is kept
            logits = each["logits"]
            told = restore(logits, target) if target else probabilities(logits)
            off = told - mean
            mean = mean + off / n
            squares = squares + off * (told - mean)
        return np.asarray(np.sqrt(squares.max(axis=0) / n), np.float32)

    def _create(self, name: str) -> Any:
        """Make an array with one element per pixel (and channel)."""
        card, region = self.task.model.card, self.task.grid.region
        dtype: DTypeLike = np.float32
        several: tuple[int, ...] = ()
        first = ""
        attrs: dict[str, Any] = {}
        if name in {"classes", HIDDEN}:
            dtype = self.label_values.dtype
            attrs["classes"] = [c.model_dump() for c in card.classes]
        elif name == "instances":
            dtype = np.uint32
        elif name == "probabilities":
            several, first = (max(card.model.classes, 2),), "K"
            attrs["classes"] = [c.model_dump() for c in card.classes]
        elif name == "values" and card.model.classes > 1:
            several, first = (card.model.classes,), "C"
        shape = (*several, *region.lead_shape, *region.shape)
        attrs |= self._place(first, (1,) * self.task.ndim, region.offset)
        return self.outputs.create(
            name, shape, dtype, self.task.ndim, attrs, cell=self.task.grid.tile
        )

    def _create_gate(self, gate: str, stride: tuple[int, ...]) -> Any:
        """Make an array with one element per cell of a gate."""
        grid, ndim = self.task.grid, self.task.ndim
        cells = _cells(grid.region.space, grid.region.space, stride)
        shape = (*grid.region.lead_shape, *(c.stop - c.start for c in cells))
        first = (c.start * n for c, n in zip(cells, stride, strict=True))
        offset = (*grid.region.offset[:-ndim], *first)
        attrs = {"stride": list(stride), **self._place("", stride, offset)}
        cell = [max(1, t // n) for t, n in zip(grid.tile, stride, strict=True)]
        return self.outputs.create(f"attention/{gate}", shape, np.float32, ndim, attrs, cell=cell)

    def _place(self, first: str, stride: tuple[int, ...], offset: Sequence[int]) -> dict[str, Any]:
        """Say which axes an array has, where it begins, and how large its elements are."""
        picture, ndim = self.task.picture, self.task.ndim
        attrs: dict[str, Any] = {
            "axes": first + result_axes(picture, ndim),
            "offset": list(offset),
        }
        if picture.spacing is not None:
            n = len(picture.spacing) - ndim  # of a stack whose planes are looked at one by one
            cells = zip(picture.spacing[n:], stride, strict=True)
            attrs["spacing"] = [*picture.spacing[:n], *(size * pixels for size, pixels in cells)]
            attrs |= {"unit": picture.unit} if picture.unit else {}
        return attrs

    def _write_gate(
        self,
        gate: str,
        stride: tuple[int, ...],
        lead: tuple[int, ...],
        window: Window,
        alpha: NDArray[np.float32],
    ) -> None:
        """Write the cells of a gate that end in a tile; its map covers all that touch it."""
        region = self.task.grid.region
        cells = _cells(window, region.space, stride)
        first = [w.start // n for w, n in zip(window, stride, strict=True)]
        found = alpha[
            tuple(slice(c.start - k, c.stop - k) for c, k in zip(cells, first, strict=True))
        ]
        if region.outline is not None:
            found = np.where(inside(region.outline, cells, stride), found, 0)
        origin = [w.start // n for w, n in zip(region.space, stride, strict=True)]
        at = region.place(lead, region.space)[: len(lead)]
        inner = (slice(c.start - k, c.stop - k) for c, k in zip(cells, origin, strict=True))
        self.arrays[f"attention/{gate}"][(*at, *inner)] = found


def _cells(window: Window, region: Window, stride: Sequence[int]) -> Window:
    """Return the cells of a gate that a window of a region writes: no two windows the same one.

    A cell belongs to the window that its last pixel is in, or else to the last one.
    """
    return tuple(
        slice(w.start // n, -(-w.stop // n) if w.stop == r.stop else w.stop // n)
        for w, r, n in zip(window, region, stride, strict=True)
    )


def _is_unknown(name: str) -> bool:
    return name in {"values", "uncertainty", "loss"}
