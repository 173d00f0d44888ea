"""Model folders: write, read, verify, list, remove.

A folder is a model once it holds `card.json`, which is written last and names every other
file with its SHA-256, and itself with one of its own. Nothing is trusted that the card does not
list.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from napari_unet.arrays.writing import TEMPORARY, atomic_write, storing
from napari_unet.config import InputError, ModelFileError, home
from napari_unet.library.card import FORMAT, Card
from napari_unet.library.checkpoints import FOLDER as CHECKPOINTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

CARD = "card.json"
WEIGHTS = "weights.safetensors"
PROBE = "probe.safetensors"
CONFIG = "config.json"
HISTORY = "history.csv"
METHODS = "METHODS.md"


def default_root() -> Path:
    """Return where models are kept: `$NAPARI_UNET_HOME/models`, or `~/napari-unet/models`."""
    return home() / "models"


def to_tensors(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Serialise named arrays as safetensors; the same arrays give the same bytes."""
    return bytes(save({name: np.asarray(a, order="C") for name, a in arrays.items()}))


def write_model(folder: Path, card: Card, files: Mapping[str, bytes]) -> Card:
    """Write `files` and then the card that vouches for them; each write is atomic.

    Returns the card as written, with the checksums of the files and of the card itself.
    """
    for name, content in files.items():
        atomic_write(folder / name, content)
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    card = card.model_copy(update={"files": dict(sorted(checksums.items()))})
    record = json.loads(card.model_dump_json())
    record["checksum"] = card_checksum(record)
    atomic_write(folder / CARD, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
    return Card.model_validate(record)


def card_checksum(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a card as JSON, but for its own checksum."""
    rest = {key: value for key, value in record.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_card(folder: str | Path) -> Card:
    """Read the card of a model.

    Raises
    ------
    ModelFileError
        U140 when `folder` is no model, U141 when the card is damaged or was altered, U145 when
        it was written by a newer version.
    """
    path = Path(folder) / CARD
    if not path.is_file():
        raise ModelFileError(
            "U140", f"{folder} is not a model folder (no {CARD})", "choose a folder made by train"
        )
    try:
        record = json.loads(path.read_bytes())
        written = record["format"]
        if isinstance(written, int) and written > FORMAT:
            raise ModelFileError(
                "U145",
                f"{folder} has format {written}, this version reads up to {FORMAT}",
                "update napari-unet-lab",
            )
        card = Card.model_validate(record)
    except (OSError, ValidationError, ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise _damaged(folder, CARD, "it cannot be read") from error
    if card.checksum != card_checksum(record):
        raise _damaged(folder, CARD, "its SHA-256 is not the one it names")
    return card


def verify(folder: str | Path) -> Card:
    """Check every file of a model against its checksum and return the card.

    Raises
    ------
    ModelFileError
        As `read_card`; U141 when a file is missing or altered.
    """
    card = read_card(folder)
    if WEIGHTS not in card.files:
        raise _damaged(folder, WEIGHTS, "the card does not list it")
    for name, expected in card.files.items():
        _content(Path(folder), name, expected)
    return card


def read_tensors(folder: str | Path, name: str, card: Card) -> dict[str, NDArray[Any]]:
    """Read the named arrays of one file of a model, after checking its checksum."""
    content = _content(Path(folder), name, card.files.get(name, ""))
    try:
        return dict(load(content))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:  # types unknown to numpy
        raise _damaged(folder, name, "it is no safetensors file") from error


def list_models(root: str | Path | None = None) -> list[tuple[Path, Card]]:
    """List the models below `root` (default: the library), newest first.

    Those of a comparison stand one folder deeper. Folders whose card cannot be read, and hidden
    ones, are left out.
    """
    root = Path(root) if root is not None else default_root()
    found = []
    cards = (*root.glob(f"[!.]*/{CARD}"), *root.glob(f"[!.]*/[!.]*/{CARD}"))
    for path in sorted(cards, key=_written_s, reverse=True):
        try:
            found.append((path.parent, read_card(path.parent)))
        except ModelFileError:
            continue  # a damaged model is told when it is opened, not here
    return found


def free_folder(root: Path, name: str) -> Path:
    """Return `root/name`, or `name-2`, `name-3`, ... where that is already taken."""
    folder, n = root / name, 1
    while folder.exists():
        n += 1
        folder = root / f"{name}-{n}"
    return folder


def remove_model(folder: str | Path) -> bool:
    """Delete the files of a model and its checkpoints; return whether its folder went, too.

    Whatever else is in the folder is not ours and stays.

    Raises
    ------
    ModelFileError
        U140 for a folder that is no model; U141, U145 as `read_card`.
    StorageError
        U130 for files that cannot be deleted.
    """
    card, folder = read_card(folder), Path(folder).resolve()
    checkpoints = folder / CHECKPOINTS
    with storing(folder):
        for ours in ("step-*.safetensors", f"{TEMPORARY}*.tmp"):
            for path in (*folder.glob(ours), *checkpoints.glob(ours)):
                path.unlink(missing_ok=True)
        for name in (n for n in card.files if is_plain(n)):
            (folder / name).unlink(missing_ok=True)
        (folder / CARD).unlink()  # last: what is left over until then can still be removed
        for place in (checkpoints, folder):
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
    return not folder.exists()


def is_plain(name: str) -> bool:
    """Tell whether a name is that of a file right in a folder, on any system."""
    return Path(name).name == name and not set(name) & set("\\/:\0")


def _written_s(path: Path) -> float:
    """When a file was written; 0 where it vanished meanwhile."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _content(folder: Path, name: str, expected: str) -> bytes:
    if not is_plain(name):
        raise _damaged(folder, CARD, f"it lists {name!r}, which is no plain file name")
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise _damaged(folder, name, "it is missing") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise _damaged(folder, name, "its SHA-256 is not the one on the card")
    return content


def _damaged(folder: str | Path, name: str, why: str) -> ModelFileError:
    return ModelFileError(
        "U141", f"{name} of {folder} is damaged or was altered: {why}", "use a copy of the model"
    )
