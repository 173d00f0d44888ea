"""TIFF of microscopes and of other programs: OME, ImageJ, tifffile's own, and plain."""

from __future__ import annotations

import logging
import math
import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import tifffile
import zarr

from napari_unet.arrays.axes import SPACE
from napari_unet.arrays.pixels import FilePixels, Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

IN_MEMORY_BYTES = 2**28  # packed files up to this size are unpacked at once
OPACITY = (1, 2)  # values of the tag ExtraSamples
MICROMETRES_PER_CM = 1e4


def read_tiff(path: Path) -> Found:
    """Read the first series of a TIFF file, at full resolution.

    Pixels that lie in the file as they are stay there; packed ones are unpacked into memory,
    or page by page on every read where they are larger than 256 MiB.
    """
    with _heard(), tifffile.TiffFile(path) as file:
        series = file.series[0]
        samples = series.axes.endswith("S") and any(
            sample in OPACITY for sample in series.keyframe.extrasamples
        )
        return Found(_pixels(path, file, series), series.axes, _sizes(file, series.axes), samples)


def _pixels(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Any:
    dtype = np.dtype(series.dtype)
    if series.dataoffset is not None:
        dtype = dtype.newbyteorder(file.byteorder)
        opened = partial(_mapped, path, series.dataoffset, series.shape, dtype)
    elif series.nbytes <= IN_MEMORY_BYTES:
        return series.asarray()
    else:
        opened = partial(_paged, path)
    with opened():  # a file that is too short fails here
        return FilePixels(opened, series.shape, dtype, path.name)


@contextmanager
def _mapped(
    path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[np.memmap[Any, Any]]:
    yield np.memmap(path, dtype, mode="r", offset=offset, shape=shape)


@contextmanager
def _paged(path: Path) -> Iterator[Any]:
    with (
        _heard(),
        tifffile.TiffFile(path) as file,
        file.series[0].aszarr(chunkmode="page", level=0) as store,
    ):
        yield zarr.open_array(store, mode="r")


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


def _sizes(file: tifffile.TiffFile, axes: str) -> dict[str, float]:
    """Return the size of a pixel for each letter of Z, Y, X for which the file tells it."""
    if file.ome_metadata:
        found = _ome_sizes(file.ome_metadata)
    elif file.imagej_metadata:
        found = _imagej_sizes(file.imagej_metadata, file.pages[0].resolution)
    else:
        found = _own_sizes(file.shaped_metadata or (), axes) or _resolution(file.pages[0])
    numbers = {letter: _number(size) for letter, size in found.items()}
    return {letter: size for letter, size in numbers.items() if size is not None}


def _ome_sizes(description: str) -> Mapping[str, Any]:
    try:
        pixels = ElementTree.fromstring(description).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return {}
    if pixels is None:
        return {}
    keys = {letter: f"PhysicalSize{letter}" for letter in SPACE}
    known = {letter: pixels.attrib[key] for letter, key in keys.items() if key in pixels.attrib}
    units = {pixels.attrib.get(f"{keys[letter]}Unit", "µm") for letter in known}
    return known if len(units) == 1 else {}


def _imagej_sizes(metadata: Mapping[str, Any], resolution: tuple[float, float]) -> dict[str, Any]:
    if metadata.get("unit", "pixel") in ("pixel", "pixels", ""):
        return {}
    x, y = (1 / r if r else None for r in resolution)
    return {"Z": metadata.get("spacing", 1.0), "Y": y, "X": x}  # ImageJ, too, takes 1 for Z


def _own_sizes(metadata: tuple[Mapping[str, Any], ...], axes: str) -> dict[str, Any]:
    spacing = metadata[0].get("spacing") if metadata else None
    letters = [letter for letter in SPACE if letter in axes]
    if not isinstance(spacing, list) or len(spacing) != len(letters):
        return {}
    return dict(zip(letters, spacing, strict=True))


def _resolution(page: tifffile.TiffPage) -> dict[str, Any]:
    """Read pixels per centimetre; per inch is what picture editors write without knowing it."""
    if page.resolutionunit != tifffile.RESUNIT.CENTIMETER:
        return {}
    x, y = (MICROMETRES_PER_CM / r if r else None for r in page.resolution)
    return {"Y": y, "X": x}


def _number(size: Any) -> float | None:
    try:
        number = float(size)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None
