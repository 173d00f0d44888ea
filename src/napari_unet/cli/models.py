"""`napari-unet models`: what can be done with models that are there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_unet.cli.printing import NOTHING, print_json
from napari_unet.config import InputError
from napari_unet.library import folders, packages

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from napari_unet.library.card import Card


def models(arguments: argparse.Namespace) -> None:
    """List, show, check, remove, export or import models."""
    action = arguments.action
    if action != "list" and arguments.model is None:
        kind = "package" if action == "import" else "model"
        raise InputError("U170", f"models {action} needs a {kind}", "name it")
    if (action == "export") != (arguments.file is not None):
        what = "needs the zip file to write" if action == "export" else "takes one name"
        raise InputError("U170", f"models {action} {what}", "see napari-unet models --help")
    if arguments.to is not None and action != "import":
        raise InputError("U170", f"models {action} takes no --to", "it is for import")
    ACTIONS[action](arguments)


def _list(arguments: argparse.Namespace) -> None:
    root = arguments.model
    if root is not None and not root.is_dir():
        raise InputError("U126", f"no folder {root}", "check the name")
    rows = [{"path": str(path), **_line(card)} for path, card in folders.list_models(root)]
    if arguments.json:
        print_json(rows)
        return
    for row in rows:
        scores = [f"{word} {row[word]:.4g}" for word in SCORES if row[word] is not None]
        known = (row["path"], row["name"], row["architecture"], row["kind"])
        print("  ".join([*known, *(scores or [NOTHING])]))


def _line(card: Card) -> dict[str, Any]:
    """Name a model, and its best score on held-out images: Dice, or the error of regression."""
    best = card.training.get("best")
    scores = best if isinstance(best, dict) else {}
    line = {"name": card.name, "architecture": card.model.architecture, "kind": card.kind}
    return line | {word: scores.get(word) for word in SCORES}


def _show(arguments: argparse.Namespace) -> None:
    print_json(json.loads(folders.read_card(arguments.model).model_dump_json()), indent=2)


def _check(arguments: argparse.Namespace) -> None:
    from napari_unet.inference.model import open_model, probe_difference

    difference = probe_difference(open_model(arguments.model))
    words = f"every checksum holds; the probe differs by {difference:.1e} of its spread"
    _tell(arguments, words, {"ok": True, "probe": difference})


def _remove(arguments: argparse.Namespace) -> None:
    gone = folders.remove_model(arguments.model)
    words = "removed" if gone else f"removed; {arguments.model} holds other files and stays"
    _tell(arguments, words, {"removed": str(arguments.model), "folder_removed": gone})


def _export(arguments: argparse.Namespace) -> None:
    path = packages.export_model(arguments.model, arguments.file)
    _tell(arguments, f"written to {path}", {"path": str(path)})


def _import(arguments: argparse.Namespace) -> None:
    folder = packages.import_model(arguments.model, arguments.to)
    _tell(arguments, f"the model is {folder}", {"path": str(folder)})


def _tell(arguments: argparse.Namespace, words: str, record: dict[str, Any]) -> None:
    if arguments.json:
        print_json(record)
    else:
        print(words)


SCORES = ("dice", "mae")
ACTIONS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "list": _list,
    "show": _show,
    "check": _check,
    "remove": _remove,
    "export": _export,
    "import": _import,
}
