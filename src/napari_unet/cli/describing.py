"""`napari-unet architectures` and `describe`: the zoo, and one network in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli.printing import NOTHING, print_json, print_lines
from napari_unet.cli.training import read_settings
from napari_unet.config import ARCHITECTURES, InputError, ModelConfig, overlay

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

MIB = 2**20
HEAD = ("layer", "kind", "kernel", "field", "output", "parameters")


def architectures(arguments: argparse.Namespace) -> None:
    """List the zoo."""
    rows = [
        {
            "name": name,
            "title": a.title,
            "paper": a.paper,
            "ndim": list(a.ndim),
            "variants": list(a.variants),
            "options": list(a.options),
        }
        for name, a in ARCHITECTURES.items()
    ]
    if arguments.json:
        print_json(rows)
        return
    head = ("name", "title", "variants", "options", "paper")
    lines = [[_listed(row[word]) for word in head] for row in rows]
    print_lines([head, *lines], [True] * len(head))


def describe(arguments: argparse.Namespace) -> None:
    """Print layers, parameters, memory and geometry, and draw the network."""
    from napari_unet.models.describe import describe

    card = describe(_model_config(arguments))
    if arguments.svg is not None:
        from napari_unet.arrays.writing import atomic_write

        atomic_write(arguments.svg, card["svg"].encode())
    if arguments.json:
        print_json(card)
        return
    print_lines([HEAD, *map(_layer, card["layers"])], [True, True, True, False, False, False])
    for line in _summary(card):
        print(line)


def _model_config(arguments: argparse.Namespace) -> ModelConfig:
    flags = ("variant", "ndim", "in_channels", "classes", "base", "depth")
    given = {f: getattr(arguments, f) for f in flags if getattr(arguments, f) is not None}
    given = overlay(given, read_settings(arguments.set))
    if arguments.name in ARCHITECTURES or not Path(arguments.name).is_dir():
        return ModelConfig.model_validate({"architecture": arguments.name, **given})
    from napari_unet.library.folders import read_card

    model = read_card(arguments.name).model
    if given:
        raise InputError("U151", f"{arguments.name} is as it is", f"leave out {', '.join(given)}")
    return model


def _layer(layer: dict[str, Any]) -> Sequence[str]:
    """Write a layer as a line: its receptive field and the size of its output in pixels."""
    kernel = _times(layer["kernel"]) if layer["kernel"] else NOTHING
    sizes = (kernel, _times(layer["field"]), _times(layer["shape"]))
    return (layer["name"], layer["kind"], *sizes, f"{layer['parameters']:,}")


def _summary(card: dict[str, Any]) -> Sequence[str]:
    """Say what a network takes and what it does to space."""
    memory = {name: f"{size / MIB:,.0f} MiB" for name, size in card["memory"].items()}
    geometry = {name: _times(numbers) for name, numbers in card["geometry"].items()}
    return (
        f"{card['parameters']:,} parameters ({memory['parameters']})",
        f"memory, estimated: {memory['training']} to train, {memory['prediction']} to predict",
        f"step {geometry['step']}, margin {geometry['margin']}, lost {geometry['lost']} pixels",
    )


def _times(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
