"""One forward pass of a window, computed in every way there is on a CPU: time and difference.

    python benchmarks/backends.py --out backends.json
    python benchmarks/backends.py --size 256 --base 16 --architectures unet --repeats 3

Times are medians of interleaved repeats in one process, over those of the plain network; the
networks are untrained, with batch norm; the window is noise. Programs that are not installed are
left out.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tables import backends_table, keep
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_unet.config import ModelConfig
from napari_unet.models.backends import available_backends, load_backend
from napari_unet.models.geometry import measure
from napari_unet.models.layers import Conv
from napari_unet.models.registry import build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NORMS = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def fold(network: nn.Module) -> nn.Module:
    """Return a copy in which every convolution has taken in the batch norm that follows it."""
    network = copy.deepcopy(network)
    for part in network.modules():
        layers = list(part.named_children())
        for (name, layer), (after, norm) in pairwise(layers):
            if isinstance(layer, Conv) and isinstance(norm, NORMS):
                setattr(part, name, fuse_conv_bn_eval(layer, norm))
                setattr(part, after, nn.Identity())
    return network


def last(network: nn.Module) -> nn.Module:
    """Return a copy whose channels are stored last."""
    return copy.deepcopy(network).to(memory_format=torch.channels_last)


def halved(network: nn.Module, image: Tensor) -> Tensor:
    """Compute in bfloat16."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return network(image)


def all_ways(network: nn.Module, config: ModelConfig) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return everything that computes the network, the plain one first."""
    both = last(fold(network))
    ways = {"eager": network, "channels last": last(network), "folded": fold(network)}
    ways |= {"both": both, "bfloat16": partial(halved, both)}
    for name in available_backends()[1:]:
        ways[name] = load_backend(name, network, config, measure(config), None)
    return ways


@torch.inference_mode()
def take_turns(
    ways: Mapping[str, Callable[[Tensor], Tensor]], image: Tensor, repeats: int
) -> dict[str, Any]:
    """Run all ways once, then in turns; return ratios of times, and differences over the spread."""
    truth = ways["eager"](image)
    differences = {
        name: float((run(image) - truth).abs().max() / truth.std()) for name, run in ways.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, run in ways.items():
            start = time.perf_counter()
            run(image)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    ratios = {name: median / medians["eager"] for name, median in medians.items()}
    return {"ratios": ratios, "differences": differences, "eager_s": medians["eager"]}


def compare(architecture: str, base: int, size: int, repeats: int) -> dict[str, Any]:
    """Return the row of one network."""
    config = ModelConfig(architecture=architecture, base=base, depth=4, norm="batch")
    torch.manual_seed(0)
    network = build(config).eval()
    edge = measure(config).legal(0, size)
    image = torch.randn(1, 1, edge, edge)
    return {
        "benchmark": "backends",
        "name": f"backends/{architecture}",
        "architecture": architecture,
        "model": config.model_dump(mode="json"),
        "parameters": sum(p.numel() for p in network.parameters()),
        "size_px": edge,
        "threads": torch.get_num_threads(),
        "repeats": repeats,
        **take_turns(all_ways(network, config), image, repeats),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architectures", default="unet2015,unet,attention")
    parser.add_argument("--size", type=int, default=512, help="edge of the window in pixels")
    parser.add_argument("--base", type=int, default=32, help="filters of the first level")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, help="a JSON file that rows are written to")
    arguments = parser.parse_args()
    rows = []
    for architecture in arguments.architectures.split(","):
        rows.append(compare(architecture, arguments.base, arguments.size, arguments.repeats))
        if arguments.out:
            keep(arguments.out, rows[-1])
    print(backends_table(rows))


if __name__ == "__main__":
    main()
