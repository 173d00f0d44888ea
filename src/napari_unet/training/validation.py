"""Scoring a network on held-out images, tile by tile, as it will be applied."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.arrays.intensity import unchanged
from napari_unet.metrics.pixels import class_scores, confusion, mean_scores
from napari_unet.models.tiles import run_tile
from napari_unet.tiling import AUTO_TILE, plan_tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_unet.library.card import TargetCard
    from napari_unet.tiling import Geometry, Tile
    from napari_unet.training.augment import Source
    from napari_unet.training.data import TrainingData
    from napari_unet.training.losses import Loss
    from napari_unet.training.sampling import Sampler

SETTLING = 32  # patches from which running statistics are taken


@dataclass(frozen=True, slots=True)
class Score:
    """Loss and scores of one validation: their means, and those of each class or channel."""

    loss: float
    means: dict[str, float]
    classes: dict[str, dict[str, float]]

    @property
    def selector(self) -> float:
        """What the best network maximises: mean Dice over foreground classes, else minus the loss.

        Dice is not defined in regression, nor where neither truth nor prediction has foreground.
        """
        dice = self.means.get("dice", np.nan)
        return dice if np.isfinite(dice) else -self.loss


def validate(network: nn.Module, data: TrainingData, geometry: Geometry, loss: Loss) -> Score:
    """Predict what is held out (or else all) by overlap-tile and score it where it is labelled."""
    network.eval()
    tally = _Values(data.target) if data.target else _Classes(data.names)
    total, labelled = 0.0, 0
    for source in data.validation or data.train:
        logits = _predict(network, source, geometry)
        valid = source.weights > 0
        tally.add(logits, source.truth, valid)
        total += _loss(loss, logits, source) * int(valid.sum())
        labelled += int(valid.sum())
    return Score(total / max(labelled, 1), *tally.scores())


class _Classes:
    """Counts pixels by true and predicted class."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.counts = np.zeros((len(names), len(names)), np.int64)

    def add(
        self, logits: NDArray[np.float32], truth: NDArray[Any], valid: NDArray[np.bool_]
    ) -> None:
        """Count the valid pixels of one image."""
        found = logits.argmax(axis=0) if len(logits) > 1 else logits[0] > 0
        self.counts += confusion(found, truth, len(self.names), valid)

    def scores(self) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Return means over foreground classes, and the scores of each class."""
        each = class_scores(self.counts)
        return mean_scores(self.counts), {self.names[k]: scores for k, scores in each.items()}


class _Values:
    """Adds up squared and absolute errors of each channel, in the units of the target."""

    def __init__(self, target: Sequence[TargetCard]) -> None:
        self.names = [channel.name for channel in target]
        self.spreads = np.asarray([channel.spread for channel in target])
        self.squares, self.sizes = np.zeros(len(target)), np.zeros(len(target))
        self.count = 0

    def add(
        self, logits: NDArray[np.float32], truth: NDArray[Any], valid: NDArray[np.bool_]
    ) -> None:
        """Add the errors in the valid pixels of one image."""
        errors = (logits[:, valid].astype(np.float64) - truth[:, valid]) * self.spreads[:, None]
        self.squares += (errors**2).sum(axis=1)
        self.sizes += np.abs(errors).sum(axis=1)
        self.count += errors.shape[1]

    def scores(self) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Return mse, rmse and mae: over all channels, and of each."""
        squares, sizes = self.squares / max(self.count, 1), self.sizes / max(self.count, 1)
        each = zip(self.names, squares, sizes, strict=True)
        by_name = {name: _errors(square, size) for name, square, size in each}
        return _errors(squares.mean(), sizes.mean()), by_name


def _errors(square: float, size: float) -> dict[str, float]:
    return {"mse": float(square), "rmse": float(np.sqrt(square)), "mae": float(size)}


def count_read(sources: Sequence[Source], geometry: Geometry) -> int:
    """Count the pixels that a validation of `sources` reads, context and all."""
    tiles = [tile for source in sources for tile in _labelled_tiles(source, geometry)]
    return sum(math.prod(r.stop - r.start for r in tile.read) for tile in tiles)


def _labelled_tiles(source: Source, geometry: Geometry) -> list[Tile]:
    """Plan the tiles in which something is scored."""
    shape = source.weights.shape
    tiles = plan_tiles(shape, AUTO_TILE[len(shape)], geometry)
    return [tile for tile in tiles if source.weights[tile.write].any()]


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
            network(sampler.batch(batch, None, rng).image.to(device))
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum


def _predict(network: nn.Module, source: Source, geometry: Geometry) -> NDArray[np.float32]:
    """Return the logits (K, *S) of an image; 0 in tiles where nothing is scored."""
    shape, channels = source.weights.shape, len(source.image)
    plain = unchanged(channels)
    logits: NDArray[np.float32] | None = None
    device = next(network.parameters()).device
    for tile in _labelled_tiles(source, geometry):
        block = run_tile(network, source.image, plain, tile, device)
        if logits is None:
            logits = np.zeros((len(block), *shape), np.float32)
        logits[(slice(None), *tile.write)] = block
    assert logits is not None  # every source has labelled pixels
    return logits


def _loss(loss: Loss, logits: NDArray[np.float32], source: Source) -> float:
    truth = source.truth if source.has_values else source.truth.astype(np.int64)
    tensors = (torch.from_numpy(a)[None] for a in (logits, truth, source.weights))
    return float(loss(*tensors))
