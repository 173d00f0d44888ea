"""Where the time of a training step goes, as training computes it and in other ways.

    python benchmarks/step.py --out step.json

The network and the batch of recipe `quick`, on noise. Every way takes whole steps (forward, loss,
backward, optimiser) in turns in one process; times are medians of CPU seconds, over those of what
is used in float32. The shares are those of it: patches, forward with loss, backward, optimiser.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tables import keep, step_table

from napari_unet.config import TrainConfig
from napari_unet.models.device import place
from napari_unet.models.registry import build
from napari_unet.training.augment import Source
from napari_unet.training.losses import make_loss
from napari_unet.training.optimisers import make_optimiser
from napari_unet.training.sampling import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from torch import nn

    from napari_unet.training.losses import Loss
    from napari_unet.training.patches import Batch

CPU = torch.device("cpu")
CASES = {1: (4096, 16, (20_000,)), 2: (128, 4, (512, 512)), 3: (32, 2, (64, 128, 128))}


class Way:
    """A network of its own and the times of its steps.

    Parameters
    ----------
    network : nn.Module
    optimiser : torch.optim.Optimizer
    cast : callable
        Makes the context of the forward pass.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        cast: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.network, self.optimiser, self.cast = network.train(), optimiser, cast
        self.seconds: list[tuple[float, ...]] = []  # forward, backward, optimiser

    def step(self, loss: Loss, batch: Batch) -> None:
        """Take a step and remember how long its parts took."""
        marks = [time.process_time()]
        with self.cast():
            logits = self.network(batch.image)
        value = loss(logits.float(), batch.truth, batch.weights)
        marks.append(time.process_time())
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        marks.append(time.process_time())
        self.optimiser.step()
        marks.append(time.process_time())
        self.seconds.append(tuple(np.diff(marks)))

    def median(self) -> float:
        """Return the CPU seconds of a step; the first does not count."""
        return statistics.median(map(sum, self.seconds[1:]))


def all_ways(config: TrainConfig, *, halved: bool) -> dict[str, Way]:
    """Return ways to take a step, that of training first."""
    torch.manual_seed(0)
    plain = build(config.model)
    placed, other = (place(copy.deepcopy(plain), CPU, config.model.ndim) for _ in range(2))
    slow = torch.optim.AdamW(plain.parameters(), lr=1e-3, weight_decay=1e-3)
    ways = {
        "used": Way(placed, make_optimiser(placed, config.optimiser)),
        "plain": Way(plain, slow),
    }
    if halved:
        cast = partial(torch.autocast, "cpu", torch.bfloat16)
        ways["bfloat16"] = Way(other, make_optimiser(other, config.optimiser), cast)
    return ways


def measure(ndim: int, repeats: int, *, halved: bool) -> dict[str, Any]:
    """Return the row of one dimension."""
    edge, count, shape = CASES[ndim]
    config = TrainConfig.from_recipe("quick", model={"ndim": ndim})
    rng = np.random.default_rng(0)
    image = rng.random((1, *shape), dtype=np.float32)
    truth = (image[0] > 0.7).astype(np.uint16)
    source = Source(image, truth, np.ones(shape, np.float32), "noise")
    sampler = Sampler([source], ((edge,) * ndim,) * 2)
    loss, ways, drawing = make_loss(config), all_ways(config, halved=halved), []
    for turn in range(repeats + 1):
        start = time.process_time()
        batch = sampler.batch(count, config.augment, np.random.default_rng(turn))
        drawing.append(time.process_time() - start)
        for way in ways.values():
            way.step(loss, batch)
    parts = [statistics.median(part) for part in zip(*ways["used"].seconds[1:], strict=True)]
    parts.insert(0, statistics.median(drawing[1:]))
    medians = {name: way.median() for name, way in ways.items()}
    return {
        "benchmark": "step",
        "name": f"step/{ndim}",
        "ndim": ndim,
        "patches": f"{count} of {'x'.join([str(edge)] * ndim)}",
        "threads": torch.get_num_threads(),
        "repeats": repeats,
        "shares": [part / sum(parts) for part in parts],
        "ratios": {name: median / medians["used"] for name, median in medians.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ndim", default="1,2,3")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--bfloat16", action="store_true", help="that as well: slow on many CPUs")
    parser.add_argument("--out", type=Path, help="a JSON file that rows are written to")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    for ndim in map(int, arguments.ndim.split(",")):
        rows.append(measure(ndim, arguments.repeats, halved=arguments.bfloat16))
        if arguments.out:
            keep(arguments.out, rows[-1])
    print(step_table(rows))


if __name__ == "__main__":
    main()
