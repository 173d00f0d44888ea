"""Axes, sorted out once: any array with named axes becomes lazy (C, *S) views.

Letters: T time, P position, Z Y X space, C channel. A view exists for every position of the
axes that are neither space nor channel; they are looped over, never dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.keys import complete_slices
from napari_unet.arrays.pixels import reading
from napari_unet.config import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPACE = "ZYX"
LETTERS = "TPZYXC"
LARGEST_NDIM = 5


@dataclass(frozen=True, slots=True)
class Picture:
    """An image or labels with named axes; nothing is read before a view is indexed.

    Parameters
    ----------
    data : array-like
        Whatever has a shape, a dtype and slices: numpy, memory map, zarr, dask, a file.
    axes : str
        One letter of "TPZYXC" for each axis of `data`.
    spacing : tuple of float or None
        Size of a pixel along each of the axes Z, Y, X present, in that order, in physical
        units; None where unknown.
    unit : str
        Of the spacing: "µm"; empty where nothing says which unit it has.
    name : str
        What the user calls it: a layer or a file.
    alpha : bool
        Whether the last channel is opacity: it is neither read nor counted.
    """

    data: Any
    axes: str
    spacing: tuple[float, ...] | None = None
    name: str = ""
    alpha: bool = False
    unit: str = ""


def name_axes(
    data: Any,
    axes: str | None = None,
    *,
    ndim: int,
    rgb: bool = False,
    name: str = "",
    labels: bool = False,
) -> Picture:
    """Name the axes of an array, or guess them from its shape.

    The guess: the last `ndim` axes are space; behind them comes C if `rgb`, or if the last
    axis has 3 or 4 elements and the spatial axes have more (never for labels); what is left
    in front is looped over. The fourth channel of RGBA (the second of grey with alpha) is
    opacity and is not read.

    Parameters
    ----------
    data : array-like
        Numbers of any byte order, layout and integer, float or bool dtype, lazy or not.
    axes : str, optional
        One letter for each axis, in any order and case; S counts as C.
    ndim : int
        Dimensions of space of the network, 1 to 3.
    rgb : bool
        The last axis is colour, as in `layer.rgb` of napari.
    name : str
        For messages.
    labels : bool
        Labels have one number for each pixel, hence no channels.

    Raises
    ------
    InputError
        U112 an axis of size 0 or no axis; U113 too few or too many dimensions, or labels with
        channels; U116 numbers that are none; U150 letters that name no axis.
    """
    called = repr(name) if name else "the image"
    data = _as_array(data, called)
    shape = _check_shape(data, called)
    letters = _guess(shape, ndim, rgb, labels) if axes is None else axes.upper().replace("S", "C")
    _check_letters(letters, shape, called)
    channels = shape[letters.index("C")] if "C" in letters else 1
    picture = Picture(data, letters, None, name, alpha=rgb and channels in (2, 4))
    split_axes(picture, ndim)
    if labels and channels - picture.alpha > 1:
        raise InputError(
            "U113",
            f"the labels {called} have {channels} channels {shape}",
            "save them with one number for each pixel",
        )
    return picture


def adopt_axes(found: str, ndim: int, *, labels: bool = False) -> str:
    """Translate the axes that a file names into ours.

    S (samples of a colour) becomes C. Unknown letters (tifffile's Q and I among them) become Z
    where a volume is wanted and Z is missing, else free letters that are looped over. Leading
    samples, which is how a stack of 3 or 4 planes is written by default, count as unknown for
    labels and where a volume is wanted.

    Examples
    --------
    >>> adopt_axes("QYX", 3), adopt_axes("QYX", 2), adopt_axes("YXS", 2)
    ('ZYX', 'TYX', 'YXC')
    """
    letters = list(found.upper())
    volume = ndim == len(SPACE) and "Z" not in letters
    if letters[:1] == ["S"] and (labels or volume):
        letters[0] = "?"
    letters = ["C" if letter == "S" and "C" not in letters else letter for letter in letters]
    unknown = [i for i, letter in enumerate(letters) if letter not in LETTERS]
    free = [letter for letter in "TPZY" if letter not in letters]
    if volume and unknown:
        free = ["Z", *(letter for letter in free if letter != "Z")]
    for i, letter in zip(reversed(unknown), free, strict=False):
        letters[i] = letter
    return "".join(letters)


def split_axes(picture: Picture, ndim: int) -> tuple[tuple[int, ...], int | None, tuple[int, ...]]:
    """Return which axes of the data are looped over, which is C (or None), and which are space.

    Space comes in the order Z, Y, X. Raises InputError U113 when the picture lacks one of the
    `ndim` spatial axes.
    """
    axes, space = picture.axes, SPACE[-ndim:]
    if not set(space) <= set(axes):
        raise InputError(
            "U113",
            f"{picture.name or 'the image'} has the axes {axes} {tuple(picture.data.shape)}, "
            f"a {ndim}-D network needs {space}",
            "name the axes, or choose a network with other dimensions",
        )
    lead = tuple(i for i, letter in enumerate(axes) if letter not in space and letter != "C")
    channel = axes.index("C") if "C" in axes else None
    return lead, channel, tuple(axes.index(letter) for letter in space)


def lead_shape(picture: Picture, ndim: int) -> tuple[int, ...]:
    """Return the sizes of the axes that are looped over; () when there are none."""
    lead, _, _ = split_axes(picture, ndim)
    return tuple(int(picture.data.shape[i]) for i in lead)


def spatial_shape(picture: Picture, ndim: int) -> tuple[int, ...]:
    """Return the sizes of the last `ndim` spatial axes, in the order Z, Y, X."""
    _, _, space = split_axes(picture, ndim)
    return tuple(int(picture.data.shape[i]) for i in space)


def result_axes(picture: Picture, ndim: int) -> str:
    """Name the axes of a result for each pixel: those that are looped over, then space."""
    lead, _, space = split_axes(picture, ndim)
    return "".join(picture.axes[i] for i in (*lead, *space))


def views(picture: Picture, ndim: int) -> list[View]:
    """Return one (C, *S) view for each position of the leading axes, in C order."""
    return [View(picture, ndim, lead) for lead in np.ndindex(lead_shape(picture, ndim))]


class View:
    """A lazy (C, *S) view of a picture at one position of its leading axes.

    `view[channels, *windows]` with slices reads that block only, and returns an array of its
    own: contiguous, writable, in native byte order. `numpy.asarray(view)` reads everything.

    Attributes
    ----------
    shape : tuple of int
        (C, *S); C is 1 for a picture without channels, and does not count opacity.
    dtype : numpy.dtype
        As in the picture, in native byte order.
    lead : tuple of int
        Position on the axes that are looped over.
    name : str
        Of the picture, for messages.
    """

    __slots__ = ("_at_lead", "_channel", "_data", "_space", "dtype", "lead", "name", "shape")

    def __init__(self, picture: Picture, ndim: int, lead: tuple[int, ...]) -> None:
        leading, self._channel, self._space = split_axes(picture, ndim)
        sizes = picture.data.shape
        channels = 1 if self._channel is None else int(sizes[self._channel]) - picture.alpha
        self.shape: tuple[int, ...] = (channels, *(int(sizes[i]) for i in self._space))
        self.dtype: np.dtype[Any] = np.dtype(picture.data.dtype).newbyteorder("=")
        self.lead = lead
        self._at_lead: dict[int, Any] = dict(zip(leading, lead, strict=True))
        self.name = picture.name or "the image"
        self._data = picture.data

    @property
    def ndim(self) -> int:
        """Number of axes, channels included."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | tuple[slice, ...]) -> NDArray[Any]:
        channels, *windows = complete_slices(key, self.shape)
        at = self._at_lead | dict(zip(self._space, windows, strict=True))
        kept = self._space
        if self._channel is not None:
            at[self._channel] = channels
            kept = (self._channel, *kept)
        index = tuple(at[axis] for axis in range(len(at)))
        with reading(self.name, index):
            block = np.asarray(self._data[index])
        block = block.transpose(np.argsort(np.argsort(kept)))  # the rank of each kept axis
        if self._channel is None:
            block = block[None][channels]
        return np.array(block, dtype=self.dtype, order="C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        block = self[:]
        return block if dtype is None else block.astype(dtype, copy=False)


def _guess(shape: tuple[int, ...], ndim: int, rgb: bool, labels: bool) -> str:
    space = shape[-1 - ndim : -1]
    channels_last = len(space) == ndim and shape[-1] in (3, 4) and min(space) > shape[-1]
    last = "C" if rgb or (channels_last and not labels) else ""
    n_lead = max(len(shape) - ndim - len(last), 0)
    known = (SPACE[-ndim:] + last)[-len(shape) :]
    return adopt_axes("Q" * n_lead + known, ndim)


def _as_array(data: Any, called: str) -> Any:
    try:
        array = data if hasattr(data, "shape") and hasattr(data, "dtype") else np.asarray(data)
        kind: str = np.dtype(array.dtype).kind
    except (TypeError, ValueError):  # a ragged list; the dtype of another library
        array, kind = data, "?"
    if kind not in "biuf" or isinstance(array, np.ma.MaskedArray):
        masked = "masked " if isinstance(array, np.ma.MaskedArray) else ""
        raise InputError(
            "U116",
            f"{called} holds {masked}values of type {getattr(array, 'dtype', type(array))}",
            "convert it to a numpy array of integers or floats",
        )
    return array


def _check_shape(data: Any, called: str) -> tuple[int, ...]:
    shape = tuple(data.shape)
    if not shape or not all(n > 0 for n in shape):  # dask writes nan for a size it does not know
        raise InputError("U112", f"{called} has the shape {shape}", "choose one that holds pixels")
    if len(shape) > LARGEST_NDIM:
        raise InputError(
            "U113",
            f"{called} has {len(shape)} dimensions {shape}",
            f"choose a part of it with at most {LARGEST_NDIM}",
        )
    return shape


def _check_letters(axes: str, shape: tuple[int, ...], called: str) -> None:
    if not set(axes) <= set(LETTERS) or len(set(axes)) < len(axes):
        raise InputError(
            "U150",
            f"axes {axes!r} of {called}",
            f"choose from the letters {LETTERS}, each at most once",
        )
    if len(axes) != len(shape):
        raise InputError(
            "U113",
            f"{called} has {len(shape)} dimensions {shape}, axes {axes!r} name {len(axes)}",
            "name every axis once, such as ZYX",
        )
