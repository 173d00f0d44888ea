"""`napari-unet train`: flags, recipe and files become one config."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_unet.cli.failing import refuse_several
from napari_unet.cli.following import follow
from napari_unet.cli.printing import print_json, print_table
from napari_unet.config import InputError, TrainConfig, overlay

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path


def train(arguments: argparse.Namespace) -> int:
    """Train a model; what is wrong with the flags is told before torch is imported.

    Under `torchrun` all processes train the same model; folds are refused there.
    """
    config, pairs = train_config(arguments), list_pairs(arguments.image, arguments.labels)
    if config.folds is not None and config.fold is None:
        return _train_folds(config, pairs, arguments)
    from napari_unet.library.folders import read_card
    from napari_unet.training.loop import train
    from napari_unet.training.ranks import joined

    with joined() as ranks:
        parent, resume = arguments.parent, arguments.resume
        stream = train(config, pairs, arguments.out, parent=parent, resume=resume, ranks=ranks)
        status = follow(stream, "what was learned is kept", ranks)
    if arguments.json and status == 0 and ranks.first:
        print_json(json.loads(read_card(arguments.out).model_dump_json()), indent=2)
    return status


def _train_folds(
    config: TrainConfig, pairs: Sequence[tuple[Path, Path]], arguments: argparse.Namespace
) -> int:
    """Train a model for each fold; print how they do."""
    refuse_several("train all folds")
    from napari_unet.metrics.spread import spread, spread_table
    from napari_unet.training.folds import ROWS, train_folds

    out = arguments.out
    stream = train_folds(config, pairs, out, parent=arguments.parent, resume=arguments.resume)
    status = follow(stream, f"finished folds are kept in {out}; --resume goes on")
    if status == 0:
        rows = json.loads((out / ROWS).read_text(encoding="utf-8"))["rows"]
        if arguments.json:
            print_json({"folds": rows, **spread(rows, "fold")}, indent=2)
        else:
            print_table(spread_table(rows, "fold"))
    return status


def list_pairs(images: Sequence[Path], labels: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Pair the files of images and labels; a folder stands for its files in name order.

    Raises InputError U101 when there are none, or not as many labels as images.
    """
    from napari_unet.arrays.files import list_pictures

    pictures = [path for given in images for path in list_pictures(given)]
    drawn = [path for given in labels for path in list_pictures(given)]
    if not pictures or len(pictures) != len(drawn):
        what = f"{len(pictures)} images and {len(drawn)} labels"
        raise InputError("U101", what, "give them in pairs")
    return list(zip(pictures, drawn, strict=True))


def train_config(arguments: argparse.Namespace) -> TrainConfig:
    """Put flags, recipe or file, and single settings together: the later win."""
    flags: dict[str, Any] = {
        "model": {
            "architecture": arguments.architecture, "variant": arguments.variant,
            "ndim": arguments.ndim,
        },
        "labels": {
            "kind": arguments.kind, "zero": arguments.zero, "ignore": arguments.ignore,
            "names": arguments.names or None,
        },
        "folds": arguments.folds, "shares": arguments.shares,
        "minutes": arguments.minutes, "epochs": arguments.epochs, "seed": arguments.seed,
    }  # fmt: skip
    changes = overlay(_given(flags), read_settings(arguments.set))
    if arguments.config is None:
        return TrainConfig.from_recipe(arguments.recipe or "quick", **changes)
    if arguments.recipe is not None:
        raise InputError("U151", "both --recipe and --config are given", "choose one")
    return TrainConfig.from_settings(read_config(arguments.config), changes)


def read_config(path: Path) -> dict[str, Any]:
    """Read settings as `config.json` of a model folder holds them.

    Raises InputError U126 for a file that is no JSON, U150 for one without settings.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("U126", f"{path} cannot be read as JSON", "give a config.json") from error
    if not isinstance(stored, dict):
        raise InputError("U150", f"{path} holds no settings", "give a config.json")
    return stored


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not given."""
    nested = {k: _given(v) if isinstance(v, dict) else v for k, v in flags.items()}
    return {k: v for k, v in nested.items() if v is not None and v != {}}


def read_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Read `model.base=8` and the like into nested settings; values are JSON or plain words."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise InputError("U170", f"--set {pair}", "write it as KEY=VALUE")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        for part in reversed(key.split(".")):
            value = {part: value}
        settings = overlay(settings, value)
    return settings
