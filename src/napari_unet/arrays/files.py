"""Files of images and labels, opened lazily, with the axes and the spacing that they name.

TIFF (OME, ImageJ and plain), PNG and other plain pictures, NPY, zarr arrays, OME-Zarr.
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import zarr

from napari_unet.arrays.axes import SPACE, Picture, adopt_axes, name_axes
from napari_unet.arrays.ome_zarr import find_level, is_zarr, name_zarr, read_zarr
from napari_unet.arrays.pixels import FilePixels, Found, in_one_line, reading
from napari_unet.arrays.tiff import read_tiff
from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".lsm", ".stk")
PLAIN_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
SUFFIXES = (*TIFF_SUFFIXES, *PLAIN_SUFFIXES, ".npy")


def open_picture(
    path: str | PathLike[str],
    *,
    ndim: int,
    axes: str | None = None,
    labels: bool = False,
    level: int = 0,
) -> Picture:
    """Open a file of an image or labels; pixels are read when they are asked for.

    Parameters
    ----------
    path : path
        TIFF, PNG or another plain picture, NPY, a zarr array, a zarr group with one array, an
        OME-Zarr image. Also what lies inside: `image.zarr/2` (a level, or an image of a
        collection), `image.zarr/labels/cells`.
    ndim : int
        Dimensions of space of the network, 1 to 3.
    axes : str, optional
        Instead of the axes that the file names, or that its shape suggests.
    labels : bool
        The file holds labels: no channels; a picture with a palette holds its indices.
    level : int
        Which resolution of a pyramid (OME-Zarr, TIFF): 0 is the finest.

    Raises
    ------
    InputError
        U126 no such file; U124 it cannot be read as an image; U150 it has no such level; U112,
        U113, U116, U150 as `name_axes`.
    """
    path = Path(path)
    path, level = find_level(path) or (path, level)
    _check_exists(path)
    name = name_zarr(path) if is_zarr(path) else path.name
    with reading(name):
        found = _read(path, labels, level)
    picture = name_axes(
        found.data,
        axes or (found.axes and adopt_axes(found.axes, ndim, labels=labels)),
        ndim=ndim,
        rgb=found.alpha,
        name=name,
        labels=labels,
    )
    spacing = _spacing(picture.axes, found.sizes)
    return replace(picture, spacing=spacing, unit=found.unit if spacing else "")


def list_pictures(path: str | PathLike[str]) -> list[Path]:
    """Return the images of a folder in the order of their names; a file or zarr is itself.

    Raises InputError U126 when there is nothing at `path`, U101 when a folder has no image.
    """
    path = Path(path)
    _check_exists(path)
    if not path.is_dir() or is_zarr(path):
        return [path]
    pictures = sorted(child for child in path.iterdir() if _is_picture(child))
    if not pictures:
        raise InputError("U101", f"no image in the folder {path}", "choose another folder")
    return pictures


def path_of(data: Any) -> Path | None:
    """Return the path by which `open_picture` finds just this array, or None.

    That is so for zarr arrays on a disk, dask arrays made of one and not changed since, and
    memory maps of whole NPY and TIFF files.
    """
    if type(data).__module__.startswith("dask"):
        data = data.dask.get(f"original-{data.name}")
    if isinstance(data, zarr.Array):
        root = getattr(data.store, "root", None)
        return Path(root) / data.path if root is not None else None
    if isinstance(data, np.memmap) and data.filename is not None:
        path = Path(data.filename)
        with suppress(InputError, OSError):  # a raw file, or one that is gone
            pixels = _read(path, labels=False, level=0).data
            return path if isinstance(pixels, FilePixels) and pixels.is_mapped_by(data) else None
    return None


def _is_picture(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in SUFFIXES


def _check_exists(path: Path) -> None:
    try:
        path.stat()
    except (OSError, ValueError) as error:  # missing, not permitted, name too long, a NUL in it
        reason = getattr(error, "strerror", None) or in_one_line(error)
        raise InputError(
            "U126", f"no file {path} ({reason})", "check the path, and that its drive is there"
        ) from error


def _read(path: Path, labels: bool, level: int) -> Found:
    suffix = path.suffix.lower()
    if is_zarr(path):
        return read_zarr(path, level)
    if path.is_dir():
        raise InputError("U124", f"{path} is a folder, not an image", "choose a file or a zarr")
    if suffix in TIFF_SUFFIXES:
        return read_tiff(path, level)
    if level:
        raise InputError("U150", f"level {level} of {path.name}", "it has the level 0 only")
    if suffix in PLAIN_SUFFIXES:
        return _read_plain(path, labels)
    if suffix == ".npy":
        return _read_npy(path)
    known = ", ".join(SUFFIXES)
    raise InputError("U124", f"{path.name} is of no known kind", f"choose a zarr or {known}")


def _read_npy(path: Path) -> Found:
    def mapped() -> nullcontext[Any]:
        return nullcontext(np.lib.format.open_memmap(path, mode="r"))  # never unpickles

    pixels = np.lib.format.open_memmap(path, mode="r")
    return Found(FilePixels(mapped, pixels.shape, pixels.dtype, path.name))


def _read_plain(path: Path, labels: bool) -> Found:
    with warnings.catch_warnings(), iio.imopen(path, "r", plugin="pillow") as file:
        warnings.simplefilter("ignore")  # sizes and palettes that Pillow finds odd
        palette = labels and file.metadata(index=0).get("mode") == "P"
        data = file.read(index=0, mode="P" if palette else None)
    colour = data.ndim > 2
    return Found(data, "YXC" if colour else "YX", alpha=colour and data.shape[-1] in (2, 4))


def _spacing(axes: str, sizes: Mapping[str, float]) -> tuple[float, ...] | None:
    """Return one size for each spatial axis present, or None when one is not known."""
    letters = [letter for letter in SPACE if letter in axes]
    return tuple(sizes[letter] for letter in letters) if set(letters) <= set(sizes) else None
