"""What each command does, but for `train` and `models`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.cli.following import follow
from napari_unet.cli.printing import print_json
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
    flags = ("ndim", "in_channels", "classes", "base", "depth")
    given = {f: getattr(arguments, f) for f in flags if getattr(arguments, f) is not None}
    given = overlay(given, read_settings(arguments.set))
    if arguments.name in ARCHITECTURES or not Path(arguments.name).is_dir():
        return ModelConfig.model_validate({"architecture": arguments.name, **given})
    from napari_unet.library.folders import read_card

    model = read_card(arguments.name).model
    if given:
        raise InputError("U151", f"{arguments.name} is as it is", f"leave out {', '.join(given)}")
    return model


def weights(arguments: argparse.Namespace) -> None:
    """Write class weights, border term and their sum as (3, *S)."""
    import numpy as np

    from napari_unet.arrays.files import open_picture
    from napari_unet.arrays.labels import open_labels_array
    from napari_unet.arrays.writing import check_apart, check_writable, write_array
    from napari_unet.targets.weights import weight_map

    check_apart(arguments.out, arguments.labels)
    check_writable(arguments.out)
    picture = open_picture(arguments.labels, ndim=1, labels=True)  # 1-D to 3-D, taken whole
    labels = np.asarray(open_labels_array(picture.data, name=picture.name))
    maps = weight_map(
        labels, arguments.w0, arguments.sigma, arguments.where, arguments.spacing or None
    )
    write_array(arguments.out, np.stack([maps.classes, maps.border, maps.total]))


def predict(arguments: argparse.Namespace) -> int:
    """Apply a model to an image."""
    flags = {"tile": arguments.tile, "device": arguments.device}
    config = PredictConfig.model_validate({"outputs": arguments.outputs.split(","), **flags})
    from napari_unet.inference.predict import predict

    whole = arguments.out.suffix.lower() != ".zarr"  # a TIFF is written when all tiles are there
    kept = "nothing was written" if whole else f"{arguments.out} is incomplete"
    return follow(predict(arguments.model, arguments.image, arguments.out, config), kept)


def evaluate(arguments: argparse.Namespace) -> None:
    """Print the scores of a prediction."""
    from napari_unet.arrays.files import open_picture
    from napari_unet.metrics.evaluate import evaluate

    labels = arguments.kind != "regression"
    prediction = open_picture(arguments.prediction, ndim=1, labels=labels)
    truth = open_picture(arguments.truth, ndim=1, labels=labels)
    scores = evaluate(prediction.data, truth.data, arguments.kind, arguments.ignore)
    print_json(scores, indent=None if arguments.json else 2)


def engine(_arguments: argparse.Namespace) -> None:
    """Become the child process."""
    from napari_unet.engine.server import main as serve

    serve()
