"""How fast a network is on this machine, measured in a fraction of a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from napari_unet.models.backends import available_backends, load_backend
from napari_unet.models.device import LAYOUT
from napari_unet.models.flow import Flow
from napari_unet.models.schedule import count_macs
from napari_unet.tiling import AUTO_TILE, tile_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.config.prediction import Backend
    from napari_unet.inference.model import Model
    from napari_unet.models.strips import FlowRunner

ENOUGH_S = 0.25  # in a shorter run, preparing the weights takes much of the time
LARGEST = 2**12  # pixels per edge of the noise


def measure_pace(runner: FlowRunner) -> float:
    """Return the seconds that a multiply-add takes when an image flows through a network.

    Noise is computed, of twice the edge each time, until that takes long enough to tell.
    """
    edge = 8
    while True:
        size = [runner.geometry.input_size(axis, edge) for axis in range(len(runner.size))]
        flow = _flow(runner, size)
        spent_s = _run(runner, flow)
        if spent_s >= ENOUGH_S or edge >= LARGEST:
            return spent_s / count_macs(flow.graph, flow.boxes)
        edge *= 2


def fastest_backend(model: Model, runner: FlowRunner, shape: Sequence[int]) -> Backend:
    """Return what computes a tile in the least time here: torch, or another that is installed.

    The others are compiled for that, which takes seconds, and read a tile with its whole margin;
    they have to be faster than a stream, where nothing is computed twice.

    Parameters
    ----------
    model : Model
        On the CPU.
    runner : FlowRunner
        Of its network.
    shape : sequence of int
        (*S) of the image.
    """
    window = tuple(slice(0, min(AUTO_TILE[len(shape)], n)) for n in shape)
    whole = count_macs(runner.graph, runner.flow(window).boxes)
    best: Backend = "torch"
    least_s = measure_pace(runner) * whole
    read = tile_at(window, shape, model.geometry).read
    size = (1, model.card.model.in_channels, *(w.stop - w.start for w in read))
    image = torch.rand(size, generator=torch.Generator().manual_seed(0))
    for name in ("openvino", "onnxruntime"):
        if name in available_backends():
            compute = load_backend(name, model.network, model.card.model, model.geometry, None)
            compute(image)
            start = time.perf_counter()
            compute(image)
            spent_s = time.perf_counter() - start
            if spent_s < least_s:
                best, least_s = name, spent_s
    return best


def _flow(runner: FlowRunner, size: Sequence[int]) -> Flow:
    logits = runner.graph.sizes(size)[runner.graph.outputs["logits"]]
    return Flow(runner.graph, size, {"logits": tuple((0, n) for n in logits)}, runner.rows)


def _run(runner: FlowRunner, flow: Flow) -> float:
    """Return the seconds that a flow takes."""
    mode, columns = runner.mode, [b - a for a, b in flow.box[1:]]
    generator = torch.Generator(mode.device).manual_seed(0)
    start = time.perf_counter()
    with torch.inference_mode():
        for a, b in flow.blocks:
            shape = (1, runner.graph.nodes[0].channels, b - a, *columns)
            block = torch.rand(shape, generator=generator, device=mode.device).to(
                mode.dtype, memory_format=LAYOUT[len(columns) + 1]
            )
            for _name, _row, piece in flow.push(block):
                piece.float().cpu()
    return time.perf_counter() - start
