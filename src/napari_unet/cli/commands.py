"""What each command does, but for `train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli.following import follow
from napari_unet.cli.training import read_settings
from napari_unet.config import ARCHITECTURES, InputError, ModelConfig, PredictConfig, overlay

if TYPE_CHECKING:
    import argparse


def demo(arguments: argparse.Namespace) -> int:
    """Run the demonstration in a process of its own, on a virtual display if need be."""
    from napari_unet.cli.demo import run_demo

    return run_demo(arguments.out, arguments.seconds, arguments.sample)


def architectures(arguments: argparse.Namespace) -> None:
    """List the zoo."""
    rows = [
        {"name": name, "title": a.title, "paper": a.paper, "ndim": list(a.ndim)}
        for name, a in ARCHITECTURES.items()
    ]
    if arguments.json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['name']:<12} {row['title']:<16} {row['paper']}")


def describe(arguments: argparse.Namespace) -> None:
    """Print layers, parameters and geometry."""
    from napari_unet.models.describe import describe

    card = describe(_model_config(arguments))
    if arguments.json:
        print_json(card)
        return
    for layer in card["layers"]:
        shape = "x".join(str(n) for n in layer["shape"])
        print(f"{layer['name']:<28} {layer['kind']:<18} {shape:<20} {layer['parameters']:>12,}")
    print(f"{card['parameters']:,} parameters; {card['geometry']}")


def _model_config(arguments: argparse.Namespace) -> ModelConfig:
    if Path(arguments.name).is_dir():
        from napari_unet.library.folders import read_card

        return read_card(arguments.name).model
    flags = ("ndim", "in_channels", "classes", "base", "depth")
    given = {f: getattr(arguments, f) for f in flags if getattr(arguments, f) is not None}
    settings = overlay({"architecture": arguments.name, **given}, read_settings(arguments.set))
    return ModelConfig.model_validate(settings)


def weights(arguments: argparse.Namespace) -> None:
    """Write class weights, border term and their sum as (3, *S)."""
    import numpy as np

    from napari_unet.arrays.files import open_picture
    from napari_unet.arrays.labels import open_labels_array
    from napari_unet.arrays.writing import check_writable, write_array
    from napari_unet.targets.weights import weight_map

    check_writable(arguments.out)
    picture = open_picture(arguments.labels, ndim=2, labels=True)
    labels = np.asarray(open_labels_array(picture.data, name=picture.name))
    maps = weight_map(
        labels, arguments.w0, arguments.sigma, arguments.where, arguments.spacing or None
    )
    write_array(arguments.out, np.stack([maps.classes, maps.border, maps.total]))


def predict(arguments: argparse.Namespace) -> int:
    """Apply a model to an image."""
    tile = int(arguments.tile) if arguments.tile.isdigit() else arguments.tile
    config = PredictConfig.model_validate(
        {"outputs": arguments.outputs.split(","), "tile": tile, "device": arguments.device}
    )
    from napari_unet.inference.predict import predict

    return follow(predict(arguments.model, arguments.image, arguments.out, config))


def evaluate(arguments: argparse.Namespace) -> None:
    """Print the scores of a prediction."""
    from napari_unet.arrays.files import open_picture
    from napari_unet.metrics.evaluate import evaluate

    labels = arguments.kind != "regression"
    prediction = open_picture(arguments.prediction, ndim=2, labels=labels)
    truth = open_picture(arguments.truth, ndim=2, labels=labels)
    scores = evaluate(prediction.data, truth.data, arguments.kind, arguments.ignore)
    if arguments.json:
        print_json(scores)
        return
    print(json.dumps(scores, indent=2))


def models(arguments: argparse.Namespace) -> None:
    """List, show, check or remove models."""
    from napari_unet.library import folders

    if arguments.action == "list":
        rows = [{"path": str(p), **_line(c)} for p, c in folders.list_models(arguments.model)]
        if arguments.json:
            print_json(rows)
        else:
            for row in rows:
                print("  ".join(str(v) for v in row.values()))
        return
    if arguments.model is None:
        raise InputError("U170", f"models {arguments.action} needs a model", "give its folder")
    if arguments.action == "show":
        print(folders.read_card(arguments.model).model_dump_json(indent=2))
    elif arguments.action == "remove":
        folders.remove_model(arguments.model)
    else:
        from napari_unet.inference.model import open_model, probe_difference

        difference = probe_difference(open_model(arguments.model))
        words = f"every checksum holds; the probe differs by {difference:.1e} of its spread"
        print_json({"ok": True, "probe": difference}) if arguments.json else print(words)


def _line(card: Any) -> dict[str, Any]:
    dice = card.training.get("best", {}).get("dice")
    return {"name": card.name, "architecture": card.model.architecture, "dice": dice}


def engine(_arguments: argparse.Namespace) -> None:
    """Become the child process."""
    from napari_unet.engine.server import main as serve

    serve()


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(value))
