"""A network as nodes that can be computed window by window: the walk that tiles and rows take.

Made from the steps of one trace, so it knows no architecture. Batch norm is folded into the
convolution before it, and pointwise layers ride on the node whose result they change.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_unet.models.layers import Conv, UpConv
from napari_unet.models.tracing import CROPS, Pad, Wired, trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_unet.config import ModelConfig
    from napari_unet.models.cells import Rule
    from napari_unet.models.packed import PackedConv
    from napari_unet.models.tracing import Step
    from napari_unet.tiling import Geometry

Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
IMAGE = 0  # the first node
Extent = tuple[int, int]  # start and stop along one axis
Box = tuple[Extent, ...]  # one extent per axis


@dataclass(slots=True)
class Node:
    """A feature map, and how it is made.

    Parameters
    ----------
    kind : str
        image, layer (with a kernel, or upsampling), cat, add, mul, or pass (what its input is).
    inputs : tuple of int
        The nodes that it is made from.
    channels : int
        Of the map.
    rules : tuple of Rule
        How its cells depend on those of its inputs, per axis.
    name : str
        Dotted name of the last layer that had a hand in it.
    layer : nn.Module, PackedConv or None
        Of kind layer.
    part : tuple
        Start and stop of the channels that are taken of the input.
    after : list of nn.Module
        Pointwise layers, run on the result.
    macs : float
        Multiply-adds per cell of the map.
    """

    kind: str
    inputs: tuple[int, ...]
    channels: int
    rules: tuple[Rule, ...]
    name: str = ""
    layer: nn.Module | PackedConv | None = None
    part: tuple[int | None, int | None] = (None, None)
    after: list[nn.Module] = field(default_factory=list)
    macs: float = 0.0


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in the order in which they are computed; `outputs` names those that are wanted."""

    nodes: tuple[Node, ...]
    outputs: Mapping[str, int]
    ndim: int

    def sizes(self, image: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the spatial shape of every map for an image of that shape."""
        sizes = [tuple(image)]
        for node in self.nodes[1:]:
            before = sizes[node.inputs[0]]
            sizes.append(tuple(rule.size(n) for rule, n in zip(node.rules, before, strict=True)))
        return sizes

    def weight_bytes(self) -> int:
        """Return the memory of the weights, as they are computed with."""
        weights = (getattr(node.layer, "weight", None) for node in self.nodes)
        return sum(w.numel() * w.element_size() for w in weights if isinstance(w, Tensor))


def make_graph(
    network: nn.Module,
    config: ModelConfig,
    geometry: Geometry,
    *,
    gates: bool = False,
    dropout: bool = False,
) -> Graph:
    """Walk through a network and write it down as nodes.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode. Folded layers are copies; all others are those of the network.
    config : ModelConfig
        Of the network.
    geometry : Geometry
        As measured.
    gates : bool
        Whether the alpha map of each attention gate is wanted, too.
    dropout : bool
        Whether cells are dropped out as in training.
    """
    steps = _trace(network, config, geometry)
    own = dict(network.named_modules())
    nodes = [Node("image", (), config.in_channels, ())]
    at = {-1: IMAGE}  # node of each step
    for i, step in enumerate(steps):
        layer = own[step.name] if step.layer is not None else None
        if isinstance(layer, nn.Dropout):
            if not dropout:
                at[i] = at[step.inputs[0]]
                continue
            layer = nn.Dropout(layer.p)  # in training mode
        at[i] = len(nodes)
        node = Node(
            kind=_kind(step.kind, layer),
            inputs=tuple(at[source] for source in step.inputs),
            channels=step.shape[0],
            rules=step.rules,
            name=step.name,
            part=step.part,
            macs=step.macs / math.prod(step.shape[1:]),
        )
        if node.kind == "layer":
            node.layer = layer
        elif layer is not None and not isinstance(layer, Pad):
            node.after = [layer]
        nodes.append(node)
    outputs = {"logits": len(nodes) - 1, **(_gates(nodes) if gates else {})}
    return _merge(nodes, outputs, config.ndim)


def _trace(network: nn.Module, config: ModelConfig, geometry: Geometry) -> list[Step]:
    """Trace a network on the smallest image, in a batch of nothing.

    That takes no time; on the device "meta" torch would import its compiler, a second.
    """
    size = [geometry.input_size(axis, 1) for axis in range(config.ndim)]
    image = torch.empty(0, config.in_channels, *size)
    if any(p.device != image.device or p.dtype != image.dtype for p in network.parameters()):
        with torch.inference_mode(mode=False):
            network = copy.deepcopy(network).to("meta", torch.float32).to_empty(device="cpu")
    return trace(network, image, geometry.step)


def _kind(name: str, layer: nn.Module | None) -> str:
    if layer is None:
        return "pass" if name in CROPS else name
    return "layer" if isinstance(layer, Wired | nn.Upsample) else "pass"


def _gates(nodes: Sequence[Node]) -> dict[str, int]:
    """Find the alpha map of each attention gate."""
    found = {}
    for i, node in enumerate(nodes):
        path = node.name.split(".")
        if "gates" in path and any(isinstance(layer, nn.Sigmoid) for layer in node.after):
            found[path[path.index("gates") + 1]] = i
    return found


def _merge(nodes: Sequence[Node], outputs: Mapping[str, int], ndim: int) -> Graph:
    """Let pointwise layers ride on the node before them, where nobody else wants its result."""
    takers = Counter(source for node in nodes for source in node.inputs)
    wanted = set(outputs.values())
    kept: list[Node] = []
    place: dict[int, int] = {}
    for i, node in enumerate(nodes):
        source = node.inputs[0] if node.inputs else IMAGE
        alone = source != IMAGE and takers[source] == 1 and source not in wanted
        if node.kind == "pass" and node.after and alone:
            place[i] = place[source]
            _ride(kept[place[i]], node)
        else:
            place[i] = len(kept)
            kept.append(replace(node, inputs=tuple(place[s] for s in node.inputs)))
    return Graph(tuple(kept), {name: place[i] for name, i in outputs.items()}, ndim)


def _ride(host: Node, rider: Node) -> None:
    """Let the pointwise layer of `rider` follow on `host`; batch norm becomes part of a layer."""
    host.name = rider.name
    (layer,) = rider.after
    if isinstance(layer, Norm) and isinstance(host.layer, Conv | UpConv) and not host.after:
        with torch.inference_mode(mode=False), torch.no_grad():
            transposed = isinstance(host.layer, UpConv)
            host.layer = fuse_conv_bn_eval(host.layer, layer, transpose=transposed)
    else:
        host.after.append(layer)
