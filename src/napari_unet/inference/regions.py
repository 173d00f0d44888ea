"""Which part of an image is predicted: a box, and a polygon drawn in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.axes import lead_shape, result_axes, spatial_shape
from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.axes import Picture
    from napari_unet.config import PredictConfig
    from napari_unet.tiling import Window

Outline = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Region:
    """A box of an image, in pixels, and what of it lies inside a polygon.

    Parameters
    ----------
    lead, space : tuple of slice
        Along the axes that are looped over, and along those of space.
    outline : tuple of (y, x), optional
        Corners of a polygon in the plane of the last two axes. None: all is inside.
    """

    lead: Window
    space: Window
    outline: Outline | None = None

    @property
    def offset(self) -> tuple[int, ...]:
        """Where the box begins: one number for each axis, leading axes first."""
        return tuple(w.start for w in (*self.lead, *self.space))

    @property
    def lead_shape(self) -> tuple[int, ...]:
        """How many positions it has along the axes that are looped over."""
        return tuple(w.stop - w.start for w in self.lead)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size in space (*S)."""
        return tuple(w.stop - w.start for w in self.space)

    def place(self, lead: Sequence[int], window: Window) -> tuple[int | slice, ...]:
        """Return the index of a window of the image into an array of the size of the box."""
        at = (k - w.start for k, w in zip(lead, self.lead, strict=True))
        inside = zip(window, self.space, strict=True)
        return (*at, *(slice(w.start - s.start, w.stop - s.start) for w, s in inside))


def choose_region(config: PredictConfig, picture: Picture, ndim: int) -> Region:
    """Return the part of `picture` that `config` asks for.

    Raises
    ------
    InputError
        U150 when the box has other axes than the image, or lies beyond it; U151 for a polygon on
        a signal in 1-D.
    """
    axes = result_axes(picture, ndim)
    shape = (*lead_shape(picture, ndim), *spatial_shape(picture, ndim))
    box = config.region or tuple((0, n) for n in shape)
    words = ", ".join(f"{start}:{stop}" for start, stop in box)
    sizes = ", ".join(f"{axis} {n}" for axis, n in zip(axes, shape, strict=True))
    if len(box) != len(shape):
        what = f"region {words} has {len(box)} axes, {picture.name or 'the image'} has {sizes}"
        raise InputError("U150", what, "give a start and a stop for each")
    if any(stop > n for (_, stop), n in zip(box, shape, strict=True)):
        what = f"region {words} lies beyond {picture.name or 'the image'} ({sizes})"
        raise InputError("U150", what, "choose one inside of it")
    if config.outline is not None and ndim == 1:
        raise InputError("U151", "an outline needs an image plane", "give a region instead")
    windows = tuple(slice(start, stop) for start, stop in box)
    split = len(shape) - ndim
    return Region(windows[:split], windows[split:], config.outline)


def inside(outline: Outline, window: Window, stride: Sequence[int] = (1, 1)) -> NDArray[np.bool_]:
    """Tell which pixels of a window lie inside a polygon, by the even-odd rule.

    Parameters
    ----------
    outline : tuple of (y, x)
        Corners in pixels; the centre of pixel 0 is 0.
    window : tuple of slice
        Its last two axes are those of the polygon; any before are not looked at.
    stride : sequence of int
        Pixels per element, where the window is one of an array that is coarser than the image.

    Returns
    -------
    bool array, (Y, X)
        Of what lies on an edge, the upper and the left one are inside.
    """
    ys, xs = (
        (np.arange(w.start, w.stop) + 0.5) * n - 0.5
        for w, n in zip(window[-2:], stride[-2:], strict=True)
    )
    a = np.asarray(outline, np.float64)
    b = np.roll(a, -1, axis=0)
    crossings = np.zeros((len(ys), len(xs) + 1), np.int32)
    for (y0, x0), (y1, x1) in zip(a, b, strict=True):
        rows = np.flatnonzero((ys >= min(y0, y1)) & (ys < max(y0, y1)))
        x = x0 + (ys[rows] - y0) * ((x1 - x0) / (y1 - y0 or 1))
        np.add.at(crossings, (rows, np.searchsorted(xs, x)), 1)
    return np.asarray(crossings[:, :-1].cumsum(axis=1) % 2 == 1)


def touched(outline: Outline, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which boxes of a grid a polygon may reach into.

    Parameters
    ----------
    outline : tuple of (y, x)
        Corners in pixels.
    rows, columns : array, (n, 2) and (m, 2)
        First and last pixel of each row and each column of boxes.

    Returns
    -------
    bool array, (n, m)
        False where no pixel of the box is inside.
    """
    a = np.asarray(outline, np.float64)
    b = np.roll(a, -1, axis=0)
    corner = _contains(a, b, rows[:, 0], columns[:, 0])
    for y0, y1, x0, x1 in (*np.c_[a[:, 0], b[:, 0], a[:, 1], b[:, 1]],):
        ys = (rows[:, 1] >= min(y0, y1)) & (rows[:, 0] <= max(y0, y1))
        xs = (columns[:, 1] >= min(x0, x1)) & (columns[:, 0] <= max(x0, x1))
        corner[np.ix_(ys, xs)] |= _cut_by(y1 - y0, x1 - x0, rows[ys] - y0, columns[xs] - x0)
    return corner


def _contains(
    a: NDArray[np.float64], b: NDArray[np.float64], ys: NDArray[Any], xs: NDArray[Any]
) -> NDArray[np.bool_]:
    """Tell which points (n, m) of a grid lie inside the polygon of the edges a to b."""
    odd = np.zeros((len(ys), len(xs)), bool)
    for (y0, x0), (y1, x1) in zip(a, b, strict=True):
        rows = (ys >= min(y0, y1)) & (ys < max(y0, y1))
        x = x0 + (ys - y0) * ((x1 - x0) / (y1 - y0 or 1))
        odd ^= rows[:, None] & (xs >= x[:, None])
    return odd


def _cut_by(dy: float, dx: float, ys: NDArray[Any], xs: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which boxes (n, m) the line through 0 along (dy, dx) meets."""
    sides = [dy * x - dx * y for y in ys.T[:, :, None] for x in xs.T[:, None, :]]
    return np.asarray((np.min(sides, axis=0) <= 0) & (np.max(sides, axis=0) >= 0))
