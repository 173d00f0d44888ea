"""A network in numbers: layers, shapes, parameters, what it sees, geometry, memory, and its U."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from napari_unet.models.drawing import draw
from napari_unet.models.geometry import measure
from napari_unet.models.memory import estimate_memory
from napari_unet.models.registry import build
from napari_unet.models.stages import find_levels
from napari_unet.models.tracing import count_parameters, trace

if TYPE_CHECKING:
    from napari_unet.config import ModelConfig
    from napari_unet.models.tracing import Step


def describe(config: ModelConfig, size: int = 384) -> dict[str, Any]:
    """Describe the network that `config` names, without computing anything of full size.

    Parameters
    ----------
    config : ModelConfig
        The network.
    size : int
        Pixels per axis that the output has at least; the input is the smallest legal one for
        it. The default makes the 2015 network the paper's: 572 pixels in, 388 out.

    Returns
    -------
    dict
        JSON-able. `name`; `parameters`, how many there are; `macs`, multiply-adds for the input;
        `layers`, in the order of computation, each `{name, kind, kernel, shape, parameters,
        field}` with the taps per axis (None for what has none), the shape (C, *S) of its output
        and the pixels of the image that one cell of it sees per axis (a layer that runs again is
        listed again with 0 parameters); `input`, the shape (C, *S) that the others follow from;
        `geometry`, lists per axis; `memory`, estimated bytes, see `estimate_memory`; `levels`,
        the two arms of the U, see `stages.Level`; `config`; `svg`, the U as a picture.
    """
    geometry = measure(config)
    shape = [config.in_channels, *(geometry.input_size(axis, size) for axis in range(config.ndim))]
    with torch.random.fork_rng(devices=[]), torch.device("meta"):  # shapes without numbers
        network = build(config).eval()
        steps = trace(network, torch.empty(1, *shape), geometry.step)
    spans = asdict(geometry)
    card: dict[str, Any] = {
        "name": config.architecture,
        "parameters": count_parameters(network.parameters()),
        "macs": sum(step.macs for step in steps),
        "layers": [_row(step) for step in steps if step.name],
        "input": shape,
        "geometry": {key: list(spans[key]) for key in ("step", "margin", "lost")},
        "memory": estimate_memory(config, geometry),
        "levels": find_levels(steps, shape),
        "config": config.model_dump(mode="json"),
    }
    return card | {"svg": draw(card)}


def _row(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "kind": step.kind,
        "kernel": list(step.kernel) if step.kernel else None,
        "shape": list(step.shape),
        "parameters": step.parameters,
        "field": list(step.field),
    }
