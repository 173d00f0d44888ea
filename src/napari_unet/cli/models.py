"""`napari-unet models`: what can be done with models that are there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_unet.cli.printing import NOTHING, print_json
from napari_unet.config import InputError, PredictConfig
from napari_unet.library import folders, packages

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from napari_unet.library.card import Card


def models(arguments: argparse.Namespace) -> int | None:
    """List, show, check, remove, export or import models."""
    _refuse_misfits(arguments)
    return ACTIONS[arguments.action](arguments)


def _refuse_misfits(arguments: argparse.Namespace) -> None:
    """Raise InputError U170 for words that the action does not take, or lacks."""
    action = arguments.action
    if action != "list" and arguments.model is None:
        kind = "package" if action == "import" else "model"
        raise InputError("U170", f"models {action} needs a {kind}", "name it")
    if (action == "export") != (arguments.file is not None):
        what = "needs the zip file to write" if action == "export" else "takes one name"
        raise InputError("U170", f"models {action} {what}", "see napari-unet models --help")
    for flag, value, owner in (
        ("--to", arguments.to, "import"),
        ("--image", arguments.image, "check"),
        ("--tile", arguments.tile, "check"),
    ):
        if value is not None and action != owner:
            raise InputError("U170", f"models {action} takes no {flag}", f"it is for {owner}")
    if arguments.tile is not None and arguments.image is None:
        raise InputError("U170", "models check --tile needs an image", "name it with --image")


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


def _check(arguments: argparse.Namespace) -> int:
    """Check a model against itself and, given an image, its tiles against the whole."""
    from napari_unet.inference.model import open_model, probe_difference

    flags = {"tile": arguments.tile or "auto", "precision": "float32"}  # tiles alone are judged
    config = PredictConfig.model_validate(flags)
    model = open_model(arguments.model)
    difference = probe_difference(model)
    words = f"every checksum holds; the probe differs by {difference:.1e} of its spread"
    if arguments.image is None:
        _tell(arguments, words, {"ok": True, "probe": difference})
        return 0
    from napari_unet.inference.check import check_tiles

    found = check_tiles(model, arguments.image, config)
    share = found["largest"] / (found["spread"] or 1.0)
    seamless = share <= SEAMLESS
    place = ", ".join(f"{start}:{stop}" for start, stop in found["window"])
    told = (
        f"{words}\ntiles differ from the whole by {share:.1e} of its spread at most, and in "
        f"{found['changed']} of {found['pixels']} pixels in class (window {place})"
    )
    _tell(arguments, told, {"ok": seamless, "probe": difference, "tiles": found})
    return 0 if seamless else UNLIKE


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
SEAMLESS = 1e-3  # of the spread of the logits: more is no rounding
UNLIKE = 1  # exit status of a check that found a difference
ACTIONS: Mapping[str, Callable[[argparse.Namespace], int | None]] = {
    "list": _list,
    "show": _show,
    "check": _check,
    "remove": _remove,
    "export": _export,
    "import": _import,
}
