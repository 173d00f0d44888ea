"""Variations of a batch: flips, rotation, zoom, elastic deformation, grey values.

A few numbers per patch are drawn on the host, from one generator; what they mean for every pixel
is computed in torch, for the whole batch, on the device that trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.ndimage import map_coordinates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_unet.config import AugmentConfig

GRID = 3  # nodes of the elastic field per axis, as in 2015
GENTLE = 1 / 12  # of an axis: the largest spread of the displacements along it


@dataclass(frozen=True, slots=True)
class Source:
    """A training image in memory, and what the network should say of it.

    Parameters
    ----------
    image : float32 array, (C, *S)
        Normalised, finite everywhere.
    truth : uint16 array (*S), or float32 array (K, *S)
        Class indices; or values, NaN where they are not known.
    weights : float32 array, (*S)
        0 where a pixel does not count.
    name : str
        For messages.
    pair : int
        Which pair of image and labels it came from.
    lead : tuple of int
        Its position on the axes of that image that are looped over.
    start : tuple of int
        The pixel of that image at which it begins, along each axis of space; () is the first.
    scale : tuple of float
        Pixels of that image per pixel of this, along each axis, where it is seen at another size
        of pixels; () is 1. `start` counts the pixels of this.
    share : float
        How often its pixels are drawn, relative to those of other sources.
    """

    image: NDArray[np.float32]
    truth: NDArray[Any]
    weights: NDArray[np.float32]
    name: str
    pair: int = 0
    lead: tuple[int, ...] = ()
    start: tuple[int, ...] = ()
    scale: tuple[float, ...] = ()
    share: float = 1.0

    @property
    def has_values(self) -> bool:
        """Whether the truth is values rather than classes."""
        return self.truth.dtype.kind == "f"


@dataclass(frozen=True, slots=True)
class Variation:
    """How the patches of a batch differ from plain cuts.

    Parameters
    ----------
    matrices : float64 array, (B, ndim, ndim)
        Where a pixel of the patch comes from, both relative to the centre.
    nodes : float64 array, (B, ndim, *(3,) * ndim)
        Displacements on a coarse grid, in pixels.
    contrast, brightness, noise : float64 array, (B,)
        Factor and shift of grey values, and the spread of what is added to each pixel.
    seed : int
        Of the noise.
    """

    matrices: NDArray[np.float64]
    nodes: NDArray[np.float64]
    contrast: NDArray[np.float64]
    brightness: NDArray[np.float64]
    noise: NDArray[np.float64]
    seed: int

    def reach(self, size: Sequence[int]) -> NDArray[np.intp]:
        """Return how far from its centre a patch is read at most, in pixels: (B, ndim)."""
        half = np.asarray(size) // 2
        overshoot = np.prod([np.abs(_cubic(n)).sum(axis=1).max() for n in size])
        bent = overshoot * np.abs(self.nodes).max(axis=tuple(range(2, self.nodes.ndim)))
        reach: NDArray[np.float64] = np.abs(self.matrices) @ half + bent
        return np.ceil(reach).astype(np.intp) + 1

    def places(self, size: Sequence[int], device: torch.device) -> Tensor:
        """Return where every pixel comes from, relative to the centre: (B, ndim, *size)."""
        ndim = len(size)
        matrices = _tensor(self.matrices, device)
        moved = elastic_field(self.nodes, size, device)
        for axis, n in enumerate(size):
            line = torch.arange(n, device=device, dtype=torch.float32) - n // 2
            shape = [1] * ndim
            shape[axis] = n
            moved += matrices[:, :, axis].view(-1, ndim, *[1] * ndim) * line.view(shape)
        return moved

    def vary_grey(self, image: Tensor) -> Tensor:
        """Change contrast and brightness of (B, C, *S), and add noise."""
        contrast, brightness, noise = (
            _tensor(x, image.device).view(-1, *[1] * (image.ndim - 1))
            for x in (self.contrast, self.brightness, self.noise)
        )
        image = torch.addcmul(brightness, image, contrast)
        if self.noise.any():
            rng = torch.Generator(image.device).manual_seed(self.seed)
            grains = torch.randn(image.shape, generator=rng, device=image.device)
            image = image.addcmul_(grains, noise)
        return image


def draw_variation(
    count: int, size: Sequence[int], config: AugmentConfig, rng: np.random.Generator
) -> Variation:
    """Draw what `count` patches of `size` are to look like; all randomness comes from `rng`."""
    return Variation(
        matrices=_draw_matrices(count, len(size), config, rng),
        nodes=draw_nodes(count, size, config.elastic_px, rng),
        contrast=rng.uniform(1 - config.contrast, 1 + config.contrast, count),
        brightness=rng.uniform(-config.brightness, config.brightness, count),
        noise=rng.uniform(0, config.noise, count),
        seed=int(rng.integers(2**62)),
    )


def draw_nodes(
    count: int, size: Sequence[int], spread_px: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw displacements of N(0, spread_px) on a grid of 3 nodes per axis: (count, ndim, 3, ...).

    The nodes are corners, mid-edges and centre of the patch (Ronneberger et al. 2015, section
    3.1). Along a short axis, such as those of a small volume, the spread is at most a `GENTLE`
    part of its length: nodes stand half of it apart, and an image that is displaced by much of
    that is torn rather than deformed.
    """
    spreads = np.reshape([min(spread_px, GENTLE * n) for n in size], (-1, *(1,) * len(size)))
    return rng.normal(0.0, spreads, (count, len(size), *(GRID,) * len(size)))


def elastic_field(nodes: NDArray[np.float64], size: Sequence[int], device: torch.device) -> Tensor:
    """Interpolate nodes (B, ndim, 3, ...) to every pixel by cubic splines: (B, ndim, *size)."""
    field = _tensor(nodes, device)
    for axis, n in enumerate(size, start=2):
        field = (field.movedim(axis, -1) @ _tensor(_cubic(n).T, device)).movedim(-1, axis)
    return field.contiguous()


@lru_cache(maxsize=32)
def _cubic(n: int) -> NDArray[np.float64]:
    """(n, GRID) matrix that interpolates GRID nodes, spread over n pixels, by a cubic spline."""
    places = np.linspace(0, GRID - 1, n)
    return np.stack(
        [map_coordinates(node, [places], order=3, mode="mirror") for node in np.eye(GRID)], axis=1
    )


def _draw_matrices(
    count: int, ndim: int, config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.float64]:
    zoom = rng.uniform(1 - config.scale, 1 + config.scale, (count, 1, 1))
    matrices = np.eye(ndim) * zoom
    if config.flip:
        matrices = matrices * rng.choice([-1.0, 1.0], size=(count, ndim, 1))
    if ndim >= 2 and config.rotate_deg:
        angle = np.deg2rad(rng.uniform(-config.rotate_deg, config.rotate_deg, count))
        turn = np.tile(np.eye(ndim), (count, 1, 1))
        turn[:, -2, -2] = turn[:, -1, -1] = np.cos(angle)
        turn[:, -1, -2] = np.sin(angle)
        turn[:, -2, -1] = -turn[:, -1, -2]
        matrices = turn @ matrices
    return matrices


def _tensor(values: NDArray[np.float64], device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)
