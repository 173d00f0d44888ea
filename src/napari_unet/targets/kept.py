"""What was read from labels, kept on disk by content: nothing is weighed twice.

A file holds one reading under the digest of the labels and of all that it depends on. It may go at
any time: what is missing, damaged or cannot be written is read from the labels again.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from safetensors.numpy import load, save

from napari_unet import __version__
from napari_unet.arrays.writing import atomic_write, sweep
from napari_unet.config import StorageError, home
from napari_unet.targets.numbering import check_labels
from napari_unet.targets.targets import Reading, read_labels
from napari_unet.targets.threads import map_in_threads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from napari_unet.config import LabelConfig, WeightConfig
    from napari_unet.targets.grammar import Grammar

MOST_BYTES = 2**30  # of all files together; the longest unused go first
FORMAT = 1  # to be raised when the same labels come to read otherwise
SUFFIX = ".reading"
DIGEST_BYTES = 32


def kept_folder() -> Path:
    """Return where readings are kept; it may be deleted at any time."""
    return home() / "cache" / "labels"


def read_set(
    labels: Sequence[ArrayLike],
    grammar: Grammar,
    labels_config: LabelConfig,
    weight_config: WeightConfig,
    threads: int | None = None,
) -> list[Reading]:
    """Read the labels of several images, in threads; from the disk what was read before.

    Parameters
    ----------
    labels : sequence of integer arrays, (*S) each
        The labels of all images of the set.
    grammar, labels_config, weight_config
        As for `read_labels`.
    threads : int, optional
        How many there may be, see `map_in_threads`.

    Raises
    ------
    InputError
        As `read_labels`.
    """
    folder = kept_folder()

    def read(each: ArrayLike) -> Reading:
        return _read_kept(each, grammar, labels_config, weight_config, folder)

    readings = map_in_threads(read, labels, threads)
    make_room(folder)
    return readings


def make_room(folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Delete the longest unused readings of a folder until the others fit."""
    sweep(folder)
    files = []
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(OSError):  # another process deleted it
            status = path.stat()
            files.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= most_bytes:
            return
        total -= size
        with suppress(OSError):  # the same, or it is being read on Windows
            path.unlink()


def _read_kept(
    labels: ArrayLike,
    grammar: Grammar,
    labels_config: LabelConfig,
    weight_config: WeightConfig,
    folder: Path,
) -> Reading:
    whole = check_labels(labels, labels_config.ignore)
    path = folder / (_key(whole, grammar, labels_config, weight_config) + SUFFIX)
    known = _open(path)
    if known is not None:
        return known
    reading = read_labels(whole, grammar, labels_config, weight_config)
    with suppress(StorageError):  # a full disk, or a home that cannot be written to
        atomic_write(path, _pack(reading), lasting=False)
    return reading


def _key(
    whole: NDArray[np.integer[Any]],
    grammar: Grammar,
    labels_config: LabelConfig,
    weight_config: WeightConfig,
) -> str:
    """Return the digest of all that a reading depends on."""
    settings = {
        "made by": (__version__, FORMAT),
        "array": (whole.shape, whole.dtype.str),
        "grammar": (grammar.kind, grammar.split, grammar.values),
        "labels": labels_config.model_dump(mode="json", exclude={"kind", "names"}),
        "weights": weight_config.model_dump(mode="json", exclude={"balance_classes"}),
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(whole).data)
    return digest.hexdigest()


def _pack(reading: Reading) -> bytes:
    arrays = {name: getattr(reading, name) for name in Reading.__slots__}
    content = save({name: np.asarray(a, order="C") for name, a in arrays.items()})
    packed = bytes(imagecodecs.zstd_encode(content, 1))
    return hashlib.sha256(packed).digest() + packed


def _open(path: Path) -> Reading | None:
    """Return the reading in a file and mark it as used; None where there is none, or a part."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    with suppress(OSError):  # a home that cannot be written to
        os.utime(path)
    digest, packed = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(packed).digest() != digest:
        return None
    return Reading(**load(imagecodecs.zstd_decode(packed)))
