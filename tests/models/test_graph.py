"""A network written down as nodes: all of it is there, once, and the network is left alone."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from napari_unet.models.attention import watch_gates
from napari_unet.models.geometry import gate_strides, measure
from napari_unet.models.graph import IMAGE, Graph, make_graph
from napari_unet.models.layers import Conv, UpConv
from napari_unet.models.tracing import trace
from tests.models.conftest import on_paper

if TYPE_CHECKING:
    from napari_unet.config import ModelConfig
    from tests.models.conftest import Grown, Small


def graph_of(config: ModelConfig, **wishes: bool) -> Graph:
    """Make the graph of a network without numbers."""
    return make_graph(on_paper(config), config, measure(config), **wishes)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_sizes_are_those_of_the_network(first: Small, ndim: int) -> None:
    config = first(ndim=ndim, base=1, in_channels=2)
    geometry, network, graph = measure(config), on_paper(config), graph_of(config, gates=True)
    for pixels in (1, 5 * geometry.step[0]):
        size = [geometry.input_size(axis, pixels) for axis in range(ndim)]
        with watch_gates(network) as gates:
            logits = network(torch.empty(1, 2, *size, device="meta"))
        sizes = graph.sizes(size)
        for name, output in {"logits": logits, **gates}.items():
            node = graph.nodes[graph.outputs[name]]
            assert (node.channels, *sizes[graph.outputs[name]]) == output.shape[1:]
        assert set(graph.outputs) == {"logits", *gates}


def test_nodes_come_after_what_they_are_made_from(first: Small) -> None:
    graph = graph_of(first())
    assert graph.nodes[IMAGE].kind == "image"
    for i, node in enumerate(graph.nodes[1:], start=1):
        assert node.inputs
        assert all(0 <= source < i for source in node.inputs)
        assert len(node.rules) == graph.ndim
    taken = {source for node in graph.nodes for source in node.inputs}
    assert taken | set(graph.outputs.values()) == set(range(len(graph.nodes)))


def test_no_multiplication_is_lost(first: Small) -> None:
    config = first(ndim=2)
    geometry, graph = measure(config), graph_of(config)
    size = [geometry.input_size(axis, 1) for axis in range(2)]
    image = torch.empty(1, 1, *size, device="meta")
    traced = sum(step.macs for step in trace(on_paper(config), image, geometry.step))
    sizes = graph.sizes(size)
    macs = sum(n.macs * math.prod(size) for n, size in zip(graph.nodes, sizes, strict=True))
    assert macs == pytest.approx(traced)


def test_pointwise_layers_ride(first: Small) -> None:
    """A map that is only normed or rectified is not kept beside the one it came from."""
    graph = graph_of(first())
    takers = [source for node in graph.nodes for source in node.inputs]
    for node in graph.nodes:
        if node.kind == "pass" and node.after:
            (source,) = node.inputs
            assert source == IMAGE or takers.count(source) > 1


def test_batch_norm_is_folded_into_the_convolution_before_it(first: Small) -> None:
    config = first(norm="batch")
    network = on_paper(config)
    graph = make_graph(network, config, measure(config))
    own = {id(module) for module in network.modules()}
    followed = [node for node in graph.nodes if isinstance(node.layer, Conv | UpConv)]
    assert followed
    for node in followed:
        assert not isinstance((node.after or [None])[0], nn.BatchNorm2d)
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    left = sum(isinstance(m, nn.BatchNorm2d) for node in graph.nodes for m in node.after)
    copies = sum(id(node.layer) not in own for node in followed)
    assert copies == norms - left  # and nothing else is copied


@pytest.mark.parametrize("dropout", [False, True])
def test_the_network_is_left_as_it_was(small: Small, grown: Grown, dropout: bool) -> None:
    config = small(norm="batch", dropout=0.5)
    network = grown(config)
    before = copy.deepcopy(network.state_dict())
    make_graph(network, config, measure(config), gates=True, dropout=dropout)
    assert not any(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_callers_modes_do_not_matter(small: Small, grown: Grown) -> None:
    config = small(norm="batch")
    network, geometry = grown(config), measure(config)
    with torch.inference_mode():
        within = make_graph(network, config, geometry)
    assert [n.kind for n in within.nodes] == [n.kind for n in graph_of(config).nodes]
    assert not any(
        value.is_inference()
        for node in within.nodes if node.layer is not None
        for value in node.layer.parameters()
    )  # fmt: skip


def test_dropout_only_where_it_is_asked_for(small: Small) -> None:
    config = small(dropout=0.5, norm="batch")
    dropped = [
        m for node in graph_of(config).nodes for m in node.after if isinstance(m, nn.Dropout)
    ]
    assert not dropped
    graph = graph_of(config, dropout=True)
    dropped = [m for node in graph.nodes for m in node.after if isinstance(m, nn.Dropout)]
    wanted = any(isinstance(m, nn.Dropout) for m in on_paper(config).modules())
    assert bool(dropped) == wanted
    assert all(layer.training and layer.p == 0.5 for layer in dropped)


@pytest.mark.parametrize("gates", ["deeper", "all"])
def test_gates_go_by_their_names(small: Small, gates: str) -> None:
    config = small(gates=gates)
    graph, strides = graph_of(config, gates=True), gate_strides(config)
    assert set(graph.outputs) == {"logits", *strides}
    size = [4 * n for n in measure(config).smallest]
    for name, stride in strides.items():
        assert graph.nodes[graph.outputs[name]].channels == 1
        cells = graph.sizes(size)[graph.outputs[name]]
        assert cells == tuple(n // s for n, s in zip(size, stride, strict=True))
    assert set(graph_of(config).outputs) == {"logits"}
