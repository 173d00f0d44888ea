"""TIFF of microscopes and of other programs: OME, ImageJ, tifffile's own, and plain."""

from __future__ import annotations

import logging
import math
import re
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import tifffile
import zarr

from napari_unet.arrays.axes import LARGEST_NDIM, SPACE
from napari_unet.arrays.pixels import FilePixels, Found
from napari_unet.arrays.planes import Planes
from napari_unet.arrays.units import UNIT, in_micrometres
from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    Sizes = tuple[Mapping[str, Any], str]  # of a pixel by axis, and their unit

IN_MEMORY_BYTES = 2**28  # packed files up to this size are unpacked at once
OPACITY = (1, 2)  # values of the tag ExtraSamples
MICROMETRES_PER_CM = 1e4
NOTE_TAG = 65001  # a private tag: what this program notes about a file


def read_tiff(path: Path, level: int = 0) -> Found:
    """Read an image of a TIFF file: its first series, or all positions where they are alike.

    Pixels that lie in the file as they are stay there; packed ones are unpacked into memory, or
    tile by tile (strip by strip) on every read where they are larger than 256 MiB.

    Raises InputError U150 for a level that the file does not have.
    """
    with _heard(), tifffile.TiffFile(path) as file:
        positions = _positions(file)
        whole = positions[0]
        if not 0 <= level < len(whole.levels):
            have = f"it has the levels 0 to {len(whole.levels) - 1}"
            raise InputError("U150", f"level {level} of {path.name}", have)
        series = whole.levels[level]
        pixels = [_pixels(path, each.levels[level]) for each in positions]
        samples = series.axes.endswith("S") and any(
            sample in OPACITY for sample in series.keyframe.extrasamples
        )
        ratios = zip(series.axes, whole.shape, series.shape, strict=True)
        coarser = {letter: n / here for letter, n, here in ratios}
        finest, unit = _sizes(file, series.axes)
        sizes = {k: size * coarser.get(k, 1) for k, size in _known(finest).items()}
    if len(pixels) == 1:
        return Found(pixels[0], series.axes, sizes, samples, unit)
    planes = Planes((len(pixels),), series.shape, pixels[0].dtype, pixels.__getitem__)
    return Found(planes, f"P{series.axes}", sizes, samples, unit)


def read_note(path: Path) -> str:
    """Return what `writing.stream_tiff` noted about a file; "" where there is nothing."""
    with suppress(OSError, tifffile.TiffFileError), tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags.get(NOTE_TAG)
        return str(tag.value) if tag is not None else ""
    return ""


def _positions(file: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """Return the series of an OME-TIFF that are positions of one image, else the first series."""
    first, *others = file.series
    alike = all(
        (each.shape, each.axes, each.dtype) == (first.shape, first.axes, first.dtype)
        and len(each.levels) == len(first.levels)
        for each in others
    )
    fits = "P" not in first.axes and len(first.axes) < LARGEST_NDIM
    return [first, *others] if file.is_ome and alike and fits else [first]


def _pixels(path: Path, series: tifffile.TiffPageSeries) -> Any:
    packed = np.dtype(series.dtype)
    dtype = packed.newbyteorder(series.keyframe.parent.byteorder)  # as it lies in the file
    opened: Callable[[], AbstractContextManager[Any]]
    if series.dataoffset is not None:
        opened = partial(_mapped, path, series.dataoffset, series.shape, dtype)
    elif (places := _places(series)) is not None:
        opened = partial(_mapped_pages, places, series.shape, series.keyframe.shape, dtype)
    elif series.nbytes <= IN_MEMORY_BYTES:
        return series.asarray()
    else:
        opened, dtype = partial(_watched, _unpacked(series)), packed
    with opened():  # a file that is too short fails here
        return FilePixels(opened, series.shape, dtype, path.name)


def _places(series: tifffile.TiffPageSeries) -> list[tuple[str, int]] | None:
    """Return the file and the offset of every page, where none of them is packed."""
    shape = series.keyframe.shape
    if not series.keyframe.is_contiguous:
        return None
    pages = [page for page in series.pages if page is not None and page.is_contiguous]
    if series.shape[-len(shape) :] != shape or len(pages) * series.keyframe.size != series.size:
        return None
    places = [(str(page.parent.filehandle.path), page.dataoffsets[0]) for page in pages]
    for path, offset in places:
        if Path(path).stat().st_size < offset + series.keyframe.nbytes:
            raise tifffile.TiffFileError(f"{Path(path).name} ends within a page")
    return places


@contextmanager
def _mapped(
    path: str | Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[np.memmap[Any, Any]]:
    yield np.memmap(path, dtype, mode="r", offset=offset, shape=shape)


@contextmanager
def _mapped_pages(
    places: Sequence[tuple[str, int]],
    shape: tuple[int, ...],
    page: tuple[int, ...],
    dtype: np.dtype[Any],
) -> Iterator[Planes]:
    def opened(number: int) -> np.memmap[Any, Any]:
        path, offset = places[number]
        return np.memmap(path, dtype, mode="r", offset=offset, shape=page)

    yield Planes(shape[: -len(page)], page, dtype, opened)


def _unpacked(series: tifffile.TiffPageSeries) -> zarr.Array[Any]:
    """Return a lazy array that unpacks tiles, or strips, and opens the file for each of them.

    Where they lie is read once: to find it out for every window would take longer than these.
    """
    for page in series.pages:
        if page is not None:
            page.dataoffsets  # noqa: B018 (reads them while the file is open)
    store = series.aszarr(level=0, _openfiles=0)
    return zarr.open_array(store, mode="r")


@contextmanager
def _watched(array: zarr.Array[Any]) -> Iterator[zarr.Array[Any]]:
    with _heard():
        yield array


@contextmanager
def _heard() -> Iterator[None]:
    """Keep tifffile's log out of the terminal, and raise what it says about missing pixels.

    Where a file was cut, tifffile logs it and goes on with fewer planes, or with zeros.
    """
    logger = logging.getLogger("tifffile")
    damage: list[str] = []

    def listen(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if _tells_damage(text, record.levelno):
            damage.append(re.sub(r"<[^>]*>\s*", "", text))
        return False  # not to be handled by others

    logger.addFilter(listen)
    try:
        yield
    finally:
        logger.removeFilter(listen)
    if damage:
        raise tifffile.TiffFileError(damage[0])


def _tells_damage(text: str, level: int) -> bool:
    if level >= logging.ERROR:
        return "TiffTag" not in text  # an odd tag alone does not matter
    return any(words in text for words in ("segments, got", "failed to reshape", "failed to read"))


def _sizes(file: tifffile.TiffFile, axes: str) -> Sizes:
    """Return the size of a pixel for each letter of Z, Y, X for which the file tells it."""
    if file.ome_metadata:
        return _ome_sizes(file.ome_metadata)
    if file.imagej_metadata:
        return _imagej_sizes(file.imagej_metadata, file.pages[0].resolution)
    own = _own_sizes(file.shaped_metadata or (), axes)
    return own if own[0] else _resolution(file.pages[0])


def _known(sizes: Mapping[str, Any]) -> dict[str, float]:
    """Return the sizes that are numbers above 0."""
    numbers = {letter: _number(size) for letter, size in sizes.items()}
    return {letter: size for letter, size in numbers.items() if size is not None}


def _ome_sizes(description: str) -> Sizes:
    try:
        pixels = ElementTree.fromstring(description).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return {}, ""
    if pixels is None:
        return {}, ""
    keys = {letter: f"PhysicalSize{letter}" for letter in SPACE}
    sizes = _known({letter: pixels.attrib.get(key) for letter, key in keys.items()})
    return in_micrometres(sizes, {k: pixels.attrib.get(f"{keys[k]}Unit", "µm") for k in keys})


def _imagej_sizes(metadata: Mapping[str, Any], resolution: tuple[float, float]) -> Sizes:
    unit = str(metadata.get("unit", "pixel")).replace("\\u00B5", "µ")
    if unit in ("pixel", "pixels", ""):
        return {}, ""
    x, y = (1 / r if r else None for r in resolution)
    sizes = {"Z": metadata.get("spacing", 1.0), "Y": y, "X": x}  # ImageJ, too, takes 1 for Z
    known = _known(sizes)
    return in_micrometres(known, dict.fromkeys(known, unit))


def _own_sizes(metadata: tuple[Mapping[str, Any], ...], axes: str) -> Sizes:
    told = metadata[0] if metadata else {}
    spacing, letters = told.get("spacing"), [letter for letter in SPACE if letter in axes]
    if not isinstance(spacing, list) or len(spacing) != len(letters):
        return {}, ""
    sizes = dict(zip(letters, spacing, strict=True))
    return sizes, UNIT if told.get("unit") == UNIT else ""


def _resolution(page: tifffile.TiffPage) -> Sizes:
    """Read pixels per centimetre; per inch is what picture editors write without knowing it."""
    if page.resolutionunit != tifffile.RESUNIT.CENTIMETER:
        return {}, ""
    x, y = (MICROMETRES_PER_CM / r if r else None for r in page.resolution)
    return {"Y": y, "X": x}, UNIT


def _number(size: Any) -> float | None:
    try:
        number = float(size)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None
