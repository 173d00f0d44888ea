"""Scoring a network on held-out images, tile by tile, as it will be applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_unet.arrays.intensity import Intensity
from napari_unet.config import LOSSES, resolve_name
from napari_unet.metrics.pixels import class_scores, confusion, mean_scores
from napari_unet.models.tiles import run_tile
from napari_unet.tiling import AUTO_TILE, plan_tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_unet.tiling import Geometry
    from napari_unet.training.augment import Source
    from napari_unet.training.sampling import Sampler

SETTLING = 32  # patches from which running statistics are taken


@dataclass(frozen=True, slots=True)
class Score:
    """Loss and scores of one validation; `selector` is what the best network maximises."""

    loss: float
    means: dict[str, float]
    classes: dict[str, dict[str, float]]

    @property
    def selector(self) -> float:
        """Mean Dice over foreground classes; where none is defined, minus the loss."""
        dice = self.means["dice"]
        return dice if np.isfinite(dice) else -self.loss


def validate(
    network: nn.Module,
    sources: Sequence[Source],
    geometry: Geometry,
    loss: str,
    names: Sequence[str],
) -> Score:
    """Predict every source by overlap-tile and compare with its classes, where labelled."""
    network.eval()
    n = len(names)
    counts = np.zeros((n, n), np.int64)
    total, labelled = 0.0, 0
    for source in sources:
        logits = _predict(network, source.image, geometry)
        valid = source.weights > 0
        found = logits.argmax(axis=0) if len(logits) > 1 else logits[0] > 0
        counts += confusion(found, source.classes, n, valid)
        total += _loss(loss, logits, source) * int(valid.sum())
        labelled += int(valid.sum())
    per_class = class_scores(counts)
    return Score(
        loss=total / max(labelled, 1),
        means=mean_scores(counts),
        classes={names[k]: dict(scores) for k, scores in per_class.items()},
    )


def settle(
    network: nn.Module, sampler: Sampler, batch: int, seed: Sequence[int], device: torch.device
) -> None:
    """Take the running statistics of batch normalisation anew from a few plain patches.

    In short runs the running averages lag behind the parameters, and a network that trains
    well fails in evaluation. Here they are the exact mean over about `SETTLING` patches.
    """
    norms = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001 - the only common class of the three
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    network.eval()  # no dropout: what it leaves out would be drawn from torch's global state
    for m in norms:
        m.train()
        m.reset_running_stats()
        m.momentum = None  # cumulative average
    rng = np.random.default_rng(list(seed))
    with torch.no_grad():
        for _ in range(max(1, SETTLING // batch)):
            image, _, _ = sampler.batch(batch, None, rng)
            network(torch.from_numpy(image).to(device))
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum


def _predict(
    network: nn.Module, image: NDArray[np.float32], geometry: Geometry
) -> NDArray[np.float32]:
    shape = image.shape[1:]
    plain = Intensity((0.0,) * len(image), (1.0,) * len(image), (0.0,) * len(image))
    logits: NDArray[np.float32] | None = None
    device = next(network.parameters()).device
    for tile in plan_tiles(shape, AUTO_TILE[len(shape)], geometry):
        block = run_tile(network, image, plain, tile, device)
        if logits is None:
            logits = np.empty((len(block), *shape), np.float32)
        logits[(slice(None), *tile.write)] = block
    assert logits is not None  # a plan has at least one tile
    return logits


def _loss(name: str, logits: NDArray[np.float32], source: Source) -> float:
    value = resolve_name(LOSSES[name])(
        torch.from_numpy(logits)[None],
        torch.from_numpy(source.classes.astype(np.int64))[None],
        torch.from_numpy(source.weights)[None],
    )
    return float(value)
