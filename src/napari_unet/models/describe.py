"""A network in numbers: its layers, their shapes and parameters, and its geometry."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_unet.models.geometry import measure
from napari_unet.models.registry import build

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_unet.config import ModelConfig


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
        JSON-able. `name`; `parameters`, how many there are; `layers`, in the order of
        computation, each `{name, kind, parameters, shape}` with the shape (C, *S) of its
        output (a layer that runs again is listed again with 0 parameters); `input`, the shape
        (C, *S) that the others follow from; `geometry`, lists per axis; `config`.
    """
    geometry = measure(config)
    shape = [config.in_channels, *(geometry.input_size(axis, size) for axis in range(config.ndim))]
    with torch.random.fork_rng(devices=[]), torch.device("meta"):  # shapes without numbers
        network = build(config).eval()
        layers = list_layers(network, torch.empty(1, *shape))
    spans = asdict(geometry)
    return {
        "name": config.architecture,
        "parameters": count_parameters(network.parameters()),
        "layers": layers,
        "input": shape,
        "geometry": {key: list(spans[key]) for key in ("step", "margin", "lost")},
        "config": config.model_dump(mode="json"),
    }


def list_layers(network: nn.Module, image: Tensor) -> list[dict[str, Any]]:
    """List the layers that `image` (1, C, *S) passes, in order: name, kind, parameters, shape."""
    rows: list[dict[str, Any]] = []
    names = {layer: name for name, layer in network.named_modules() if not any(layer.children())}

    def note(layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        name = names[layer]
        again = any(row["name"] == name for row in rows)
        rows.append(
            {
                "name": name,
                "kind": type(layer).__name__,
                "parameters": 0 if again else count_parameters(layer.parameters()),
                "shape": list(output.shape[1:]),
            }
        )

    hooks = [layer.register_forward_hook(note) for layer in names]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return rows


def count_parameters(parameters: Iterable[nn.Parameter]) -> int:
    """Count the numbers that training changes."""
    return sum(parameter.numel() for parameter in parameters)
