"""Models as one file: a zip of what the card lists, and nothing else.

A package comes from somewhere else, so nothing it says is believed: names, sizes and
checksums are looked at before a folder appears in the library, whole, under a new name.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import unicodedata
import uuid
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from napari_unet.arrays.pixels import in_one_line
from napari_unet.arrays.writing import atomic_write, check_writable, storing
from napari_unet.config import InputError, ModelFileError, StorageError
from napari_unet.library.folders import CARD, WEIGHTS, default_root, read_tensors, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unet.library.card import Card

MOST_FILES = 64
MOST_BYTES = 4 * 2**30  # of all files together
CARD_BYTES = 2**20
MOST_RATIO = 200  # unpacked to packed, for what is larger than `SMALL_BYTES`
SMALL_BYTES = 2**20
BLOCK_BYTES = 2**20
SUFFIXES = (".json", ".safetensors", ".csv", ".md")  # data and text: nothing that could run
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}\.[a-z]{1,12}")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)\.", re.IGNORECASE)  # devices of Windows
ENCRYPTED = 0x1
_BROKEN = (  # what zipfile raises for files that are none
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError,
)  # fmt: skip
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same model gives the same bytes


def export_model(folder: str | Path, path: str | Path) -> Path:
    """Write a model as one zip file: the card and the files it lists, never checkpoints.

    Parameters
    ----------
    folder : str or Path
        A model; every checksum is checked before anything is written.
    path : str or Path
        `x.zip`, which must not exist yet.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    ModelFileError
        U140, U141, U145 as `verify`.
    StorageError
        U130 when something is at `path` or it cannot be written, U134 when the disk is full.
    """
    folder, path = Path(folder), Path(path)
    card = verify(folder)
    if os.path.lexists(path) or path.suffix.lower() != ".zip":
        why = "exists already" if os.path.lexists(path) else "does not end in .zip"
        raise StorageError("U130", f"{path} {why}", "choose another name")
    check_writable(path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        for name in (CARD, *card.files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            package.writestr(entry, (folder / name).read_bytes())
    atomic_write(path, buffer.getvalue())
    return path


def import_model(path: str | Path, root: str | Path | None = None) -> Path:
    """Unpack a model that `export_model` wrote into the library, and return its folder.

    Files are unpacked into a new hidden folder, checked there, and moved into place by one
    rename; nothing that exists is ever written to.

    Parameters
    ----------
    path : str or Path
        The zip file.
    root : str or Path, optional
        Where models are kept; default: the library.

    Raises
    ------
    ModelFileError
        U141 for a package that is damaged, or holds anything but a model; U145 for one of a
        newer version.
    InputError
        U126 no such file; U131 the model is in the library already.
    StorageError
        U130 when the library cannot be written, U134 when there is no room.
    """
    path, root = Path(path), default_root() if root is None else Path(root)
    if not path.is_file():
        raise InputError("U126", f"no file {path}", "check the name")
    incoming = root / f".incoming-{uuid.uuid4().hex}"
    with _reading(path), zipfile.ZipFile(path) as package:
        entries = _check_entries(package, path)
        check_writable(incoming / CARD)
        _check_room(root, sum(entry.file_size for entry in entries))
        try:
            with storing(incoming):
                incoming.mkdir(parents=True)
            for entry in entries:
                _unpack(package, entry, incoming / entry.filename)
            return _move_in(incoming, root, path)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say of whatever a zip file may be that it is no package."""
    try:
        yield
    except InputError:
        raise
    except _BROKEN as error:
        raise _refusal(path, f"it cannot be read ({in_one_line(error)})") from error


def _refusal(path: Path, why: str) -> ModelFileError:
    return ModelFileError("U141", f"{path.name} is no intact model package: {why}", "get it anew")


def _check_entries(package: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """Look at what the package says about itself, before anything of it is unpacked."""
    entries = package.infolist()
    if len(entries) > MOST_FILES:
        raise _refusal(path, f"it holds {len(entries)} files, at most {MOST_FILES} are allowed")
    for entry in entries:
        why = _odd_name(entry) or _odd_content(entry)
        if why:
            raise _refusal(path, f"the entry {entry.orig_filename[:60]!r} {why}")
    names = [unicodedata.normalize("NFC", entry.filename).casefold() for entry in entries]
    if len(set(names)) < len(names):
        raise _refusal(path, "two of its entries have the same name")
    if CARD not in names:
        raise _refusal(path, f"it holds no {CARD}")
    if sum(entry.compress_size for entry in entries) > path.stat().st_size:
        raise _refusal(path, "its entries overlap")
    total = sum(entry.file_size for entry in entries)
    if total > MOST_BYTES:
        raise _refusal(path, f"it unpacks to {total:,} bytes, at most {MOST_BYTES:,} are allowed")
    return entries


def _odd_name(entry: zipfile.ZipInfo) -> str:
    """Say what is wrong with a name: only plain names of data files are right."""
    name = entry.filename
    if entry.orig_filename != name or not NAME.fullmatch(name) or RESERVED.match(name):
        return "has no plain file name"
    if not name.endswith(SUFFIXES):
        return f"is none of {', '.join(SUFFIXES)}"
    return ""


def _odd_content(entry: zipfile.ZipInfo) -> str:
    """Say what is wrong with what an entry claims to be."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or entry.is_dir():
        return "is no plain file"
    if entry.flag_bits & ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way that is not supported"
    if entry.file_size > max(SMALL_BYTES, MOST_RATIO * entry.compress_size):
        return f"unpacks to {entry.file_size:,} bytes from {entry.compress_size:,}"
    if entry.filename == CARD and entry.file_size > CARD_BYTES:
        return f"holds {entry.file_size:,} bytes"
    return ""


def _check_room(root: Path, needed: int) -> None:
    there = next(above for above in (root, *root.absolute().parents) if above.is_dir())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StorageError(
            "U134",
            f"the model needs {needed:,} bytes, {free:,} are free at {root}",
            "free some space, or choose another disk",
        )


def _unpack(package: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    """Unpack one entry to a new file; never more than it declared."""
    with package.open(entry) as source, storing(target), target.open("xb") as file:
        written = _copy(source, file, entry.file_size)
        file.flush()
        os.fsync(file.fileno())
    if written != entry.file_size:
        raise zipfile.BadZipFile(f"{entry.filename} is not as long as it says")


def _copy(source: IO[bytes], target: IO[bytes], limit: int) -> int:
    """Copy up to one byte more than `limit`; return how many there were."""
    written = 0
    while written <= limit and (block := source.read(min(BLOCK_BYTES, limit + 1 - written))):
        written += target.write(block)
    return written


def _move_in(incoming: Path, root: Path, path: Path) -> Path:
    """Check what was unpacked, and give it its place in the library."""
    card = verify(incoming)
    read_tensors(incoming, WEIGHTS, card)
    odd = sorted({child.name for child in incoming.iterdir()} ^ {CARD, *card.files})
    if odd:
        raise _refusal(path, f"the card does not list {', '.join(odd)}")
    target = root / folder_name(card)
    with storing(target):
        if os.path.lexists(target):
            raise InputError("U131", f"{target} is this model already", "remove it first")
        incoming.rename(target)
    return target


def folder_name(card: Card) -> str:
    """Return a folder name for a model, such as `my-nuclei-1a2b3c4d`: its name and checksum."""
    plain = unicodedata.normalize("NFKD", card.name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return f"{slug or 'model'}-{card.checksum[:8]}"
