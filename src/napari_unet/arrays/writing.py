"""Write files whole or not at all, and say so when there is no room.

Every file is written under a temporary name beside its final one, flushed to the disk (but for
what can be made again), and renamed: a crash leaves the old file or the new one, never half of one.
"""

from __future__ import annotations

import errno
import io
import math
import os
import shutil
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

from napari_unet.arrays.axes import SPACE
from napari_unet.arrays.ome_zarr import is_zarr
from napari_unet.arrays.pixels import in_one_line
from napari_unet.arrays.tiff import NOTE_TAG
from napari_unet.config import InputError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

    from numpy.typing import NDArray

MAKER = MappingProxyType({"made_by": "napari-unet-lab"})  # on result groups: only they are replaced
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OME_NO_UNIT = "pixel"  # of no length
BIG_TIFF_BYTES = 2**31
BLOCK_BYTES = 2**24
STRIP_BYTES = 2**18
STALE_S = 7 * 86400.0  # what is unfinished for longer will not be resumed
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


def atomic_write(path: str | PathLike[str], content: bytes, *, lasting: bool = True) -> None:
    """Write a file whole or not at all; folders above it are made.

    Not `lasting`, it does not wait for the disk: after a power cut the file may be damaged.
    Raises StorageError U134 (no room) or U130 (cannot be written); nothing is left behind and
    a file that was at `path` stays as it was.
    """
    with _replacing(Path(path), lasting=lasting) as file:
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
    path: str | PathLike[str],
    data: Any,
    axes: str,
    spacing: Sequence[float] | None = None,
    unit: str = "",
) -> None:
    """Write numbers as an uncompressed TIFF, block by block, whole or not at all.

    Parameters
    ----------
    path : path
        A name that ends in .ome.tif gets the metadata of OME.
    data : array-like
        Lazy arrays are read in blocks of about 16 MiB, of whole chunks where they have any;
        bool becomes uint8.
    axes : str
        One letter for each axis, such as "CZYX"; never taken for colours.
    spacing : sequence of float, optional
        Size of a pixel along each of the axes Z, Y, X present.
    unit : str
        Of the spacing, as that of a Picture: "µm", or empty where nothing says which.

    Raises
    ------
    StorageError
        U134 no room; U130 cannot be written.
    """
    for _ in stream_tiff(path, data, axes, spacing, unit):
        pass


def stream_tiff(
    path: str | PathLike[str],
    data: Any,
    axes: str,
    spacing: Sequence[float] | None = None,
    unit: str = "",
    note: str = "",
) -> Iterator[float]:
    """Do as `write_tiff`; yield the share that is done after each block.

    The pixels lie in one piece, so that they can be mapped, in strips of about 256 KiB for
    programs that read strips. The note (ASCII) can be had back from `tiff.read_note`.
    """
    dtype = np.dtype(np.uint8) if data.dtype.kind == "b" else data.dtype.newbyteorder("=")
    shape, ome = tuple(data.shape), is_ome_tiff(path)
    row_bytes = shape[-1] * dtype.itemsize
    with _replacing(Path(path)) as file:
        start, _ = tifffile.imwrite(
            file,
            shape=shape,
            dtype=dtype,
            photometric="minisblack" if len(shape) > 1 else None,
            rowsperstrip=max(1, STRIP_BYTES // row_bytes) if len(shape) > 1 else None,
            metadata=(_ome_metadata if ome else _own_metadata)(axes, spacing, unit),
            ome=ome,
            extratags=[(NOTE_TAG, "s", 0, note, True)] if note else [],
            bigtiff=math.prod(shape) * dtype.itemsize > BIG_TIFF_BYTES,
            returnoffset=True,
        )
        done = 0
        for window in _blocks(shape, dtype.itemsize, getattr(data, "chunks", None)):
            block = np.asarray(data[window]).astype(dtype, copy=False)
            for offset, run in _runs(block, window, shape):
                file.seek(start + offset * dtype.itemsize)
                file.write(run.tobytes())
            done += block.size
            yield done / math.prod(shape)


def is_ome_tiff(path: str | PathLike[str]) -> bool:
    """Return whether a file is to have the metadata of OME, by its name."""
    return str(path).lower().endswith((".ome.tif", ".ome.tiff"))


def _own_metadata(axes: str, spacing: Sequence[float] | None, unit: str) -> dict[str, Any]:
    if spacing is None:
        return {"axes": axes}
    known = {"axes": axes, "spacing": [float(size) for size in spacing]}
    return {**known, "unit": unit} if unit else known


def _ome_metadata(axes: str, spacing: Sequence[float] | None, unit: str) -> dict[str, Any]:
    """Name the sizes in the words of OME, to which a size that names no unit is in µm."""
    metadata: dict[str, Any] = {"axes": axes}
    letters = [letter for letter in SPACE if letter in axes]
    for letter, size in zip(letters, spacing or (), strict=False):
        metadata[f"PhysicalSize{letter}"] = float(size)
        metadata[f"PhysicalSize{letter}Unit"] = unit or OME_NO_UNIT
    return metadata


def _blocks(shape: tuple[int, ...], itemsize: int, chunks: Any) -> Iterator[tuple[slice, ...]]:
    """Cut an array into windows of whole chunks, as long as possible along its last axes."""
    regular = chunks is not None and all(isinstance(edge, int) for edge in chunks)
    edges = (
        [min(*pair) for pair in zip(chunks, shape, strict=True)] if regular else [1] * len(shape)
    )
    for axis in reversed(range(len(shape))):
        more = max(1, BLOCK_BYTES // (math.prod(edges) * itemsize))
        edges[axis] = min(edges[axis] * more, shape[axis])
        if edges[axis] < shape[axis]:
            break
    starts = (range(0, n, edge) for n, edge in zip(shape, edges, strict=True))
    for corner in product(*starts):
        ends = map(min, shape, map(sum, zip(corner, edges, strict=True)))
        yield tuple(map(slice, corner, ends))


def _runs(
    block: NDArray[Any], window: tuple[slice, ...], shape: tuple[int, ...]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the pieces of a block that follow one another in the whole array, and where.

    The offset is counted in elements.
    """
    axis = len(shape) - 1
    while axis > 0 and block.shape[axis] == shape[axis]:
        axis -= 1  # now the outermost axis within a piece
    starts = [w.start for w in window]
    for index in np.ndindex(block.shape[:axis]):
        corner = [start + i for start, i in zip(starts, index, strict=False)]
        yield int(np.ravel_multi_index([*corner, *starts[axis:]], shape)), block[index]


def check_writable(path: str | PathLike[str]) -> None:
    """Find out before any work whether a file can be written at `path`; leaves nothing behind.

    Raises StorageError U130 when `path` is a folder (other than an older zarr result) or the
    nearest folder above it cannot be written to, U134 when it is full.
    """
    path = Path(path)
    with storing(path):
        if path.suffix.lower() == ".zarr":
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


def sweep(folder: Path) -> None:
    """Remove what this program left unfinished in a folder and nobody touched for a week."""
    for path in folder.glob(f"{TEMPORARY}*"):
        if not _is_touched(path):
            if path.is_dir() and is_zarr(path) and _is_ours(path):
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix == ".tmp" and path.is_file():
                with suppress(OSError):  # another process swept it, or holds it
                    path.unlink()


def _is_touched(path: Path) -> bool:
    """Return whether a file, or anything in a folder, was written lately."""
    now = time.time()
    inside = path.rglob("*") if path.is_dir() else ()
    with suppress(OSError):  # it is being written, or removed, just now
        return any(now - each.stat().st_mtime < STALE_S for each in (path, *inside))
    return True


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


class _Unshared(io.BufferedWriter):
    """A file that hides its number: numpy then writes through Python, where errors have causes."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


@contextmanager
def _replacing(path: Path, *, lasting: bool = True) -> Iterator[io.BufferedWriter]:
    """Yield a file that takes the place of `path` when everything has been written."""
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}.tmp")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with io.FileIO(temporary, "xb") as raw, _Unshared(raw) as file:
                yield file
                file.flush()
                if lasting:
                    os.fsync(raw.fileno())
            _rename(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        if lasting:
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
