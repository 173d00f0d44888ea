"""Write files whole or not at all, and say so when there is no room.

Every file is written under a temporary name beside its final one, flushed to the disk, and
renamed: a crash leaves the old file or the new one, never half of one.
"""

from __future__ import annotations

import errno
import io
import math
import os
import tempfile
import time
import uuid
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr

from napari_unet.arrays.ome_zarr import is_zarr
from napari_unet.arrays.pixels import in_one_line
from napari_unet.config import InputError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

MAKER = MappingProxyType({"made_by": "napari-unet-lab"})  # on result groups: only they are replaced
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BIG_TIFF_BYTES = 2**31
BLOCK_BYTES = 2**24
TEMPORARY = ".napari-unet-"  # how the names of unfinished files begin
PATIENCE_S = (0.05, 0.1, 0.2, 0.4, 0.8)  # a virus scanner may hold a file on Windows


def storage_error(path: str | PathLike[str], error: OSError) -> StorageError:
    """Say why `path` cannot be written: U134 when there is no room, else U130."""
    reason = error.strerror or in_one_line(error)
    if error.errno in NO_ROOM:
        return StorageError(
            "U134", f"no room to write {path} ({reason})", "free some space, or choose another disk"
        )
    return StorageError("U130", f"cannot write {path} ({reason})", "choose another place")


@contextmanager
def storing(path: str | PathLike[str]) -> Iterator[None]:
    """Turn the OSErrors of what happens inside into StorageErrors about `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error


def atomic_write(path: str | PathLike[str], content: bytes) -> None:
    """Write a file whole or not at all; folders above it are made.

    Raises StorageError U134 (no room) or U130 (cannot be written); nothing is left behind and
    a file that was at `path` stays as it was.
    """
    with _replacing(Path(path)) as file:
        file.write(content)


def write_array(path: str | PathLike[str], array: Any) -> None:
    """Write an array as .npy, or as .tif with its last two axes as Y and X.

    Raises InputError U150 for another suffix; StorageError as `atomic_write`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        with _replacing(path) as file:
            np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    elif suffix in (".tif", ".tiff"):
        write_tiff(path, array, "QQQQYX"[-array.ndim :])
    else:
        raise InputError(
            "U150", f"cannot write {path.name}", "choose a name ending in .npy or .tif"
        )


def write_tiff(
    path: str | PathLike[str], data: Any, axes: str, spacing: Sequence[float] | None = None
) -> None:
    """Write numbers as an uncompressed TIFF, block by block, whole or not at all.

    Parameters
    ----------
    path : path
    data : array-like
        Lazy arrays are read in blocks of about 16 MiB; bool becomes uint8.
    axes : str
        One letter for each axis, such as "CZYX"; never taken for colours.
    spacing : sequence of float, optional
        Size of a pixel along each of the axes Z, Y, X present.

    Raises
    ------
    StorageError
        U134 no room; U130 cannot be written.
    """
    metadata: dict[str, Any] = {"axes": axes}
    if spacing is not None:
        metadata["spacing"] = [float(size) for size in spacing]
    dtype = np.dtype(np.uint8) if data.dtype.kind == "b" else data.dtype.newbyteorder("=")
    with _replacing(Path(path)) as file:
        start, _ = tifffile.imwrite(
            file,
            shape=data.shape,
            dtype=dtype,
            photometric="minisblack" if len(data.shape) > 1 else None,
            metadata=metadata,
            bigtiff=math.prod(data.shape) * dtype.itemsize > BIG_TIFF_BYTES,
            returnoffset=True,
        )  # the pixels lie in one piece from `start` on
        file.seek(start)
        for window in _rows(data.shape, dtype.itemsize):
            file.write(np.asarray(data[window]).astype(dtype, copy=False).tobytes())


def check_writable(path: str | PathLike[str]) -> None:
    """Find out before any work whether a file can be written at `path`; leaves nothing behind.

    Raises StorageError U130 when `path` is a folder (other than an older zarr result) or the
    nearest folder above it cannot be written to, U134 when it is full.
    """
    path = Path(path)
    with storing(path):
        if path.suffix == ".zarr":
            _check_replaceable(path)
        elif path.is_dir():
            raise StorageError("U130", f"{path} is a folder", "choose the name of a file")
        folder = next(above for above in path.absolute().parents if os.path.lexists(above))
        with tempfile.TemporaryFile(dir=folder, prefix=TEMPORARY) as probe:
            probe.write(b"\0")
            probe.flush()


def check_apart(path: str | PathLike[str], source: Any) -> None:
    """Refuse to write a result over the file it is made from, or over the zarr that holds it.

    Raises StorageError U130. A `source` that is no path lies nowhere near.
    """
    if path and isinstance(source, str | os.PathLike):
        place = Path(source).resolve()
        if Path(path).resolve() in (place, *place.parents):
            what = f"{path} would replace what it is made from"
            raise StorageError("U130", what, "choose another name")


def create_arrays(path: str | PathLike[str]) -> zarr.Group:
    """Make an empty zarr 3 group for results, in place of an older result of ours.

    Raises StorageError U130 when something else is at `path`, U134 when there is no room.
    """
    path = Path(path)
    with storing(path):
        _check_replaceable(path)
        return zarr.create_group(store=path, zarr_format=3, overwrite=True, attributes=dict(MAKER))


def _check_replaceable(path: Path) -> None:
    """Refuse to replace anything but an empty folder or an older result: no zarr of the user."""
    if not os.path.lexists(path):
        return
    empty = path.is_dir() and not any(path.iterdir())
    if not (empty or (is_zarr(path) and _is_ours(path))):
        what = f"{path} exists and is no result of this program"
        raise StorageError("U130", what, "choose another name, or remove it yourself")


def _is_ours(path: Path) -> bool:
    try:
        node = zarr.open(store=path, mode="r")
    except (OSError, ValueError, KeyError):  # its metadata are broken: better not touch it
        return False
    attributes = node.attrs.asdict()
    return all(attributes.get(key) == value for key, value in MAKER.items())


def _rows(shape: tuple[int, ...], itemsize: int) -> Iterator[tuple[slice, ...]]:
    """Cut an array into windows of whole rows that follow one another in memory."""
    row_bytes = max(1, math.prod(shape[1:]) * itemsize)
    if row_bytes > BLOCK_BYTES and len(shape) > 1:
        for i, below in product(range(shape[0]), _rows(shape[1:], itemsize)):
            yield (slice(i, i + 1), *below)
        return
    step = max(1, BLOCK_BYTES // row_bytes)
    for start in range(0, shape[0], step):
        yield (slice(start, start + step),)


class _Unshared(io.BufferedWriter):
    """A file that hides its number: numpy then writes through Python, where errors have causes."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


@contextmanager
def _replacing(path: Path) -> Iterator[io.BufferedWriter]:
    """Yield a file that takes the place of `path` when everything has been written."""
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}.tmp")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with io.FileIO(temporary, "xb") as raw, _Unshared(raw) as file:
                yield file
                file.flush()
                os.fsync(raw.fileno())
            _rename(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        _sync_folder(path.parent)


def _rename(source: Path, target: Path) -> None:
    for pause_s in PATIENCE_S if _is_windows() else ():
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(pause_s)
        else:
            return
    os.replace(source, target)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system can do so."""
    if _is_windows():
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # network file systems refuse; the file is in place either way
            os.fsync(number)
    finally:
        os.close(number)


def _is_windows() -> bool:
    return os.name == "nt"
