"""Varied patches: flips, rotation, zoom, elastic deformation, grey values.

A patch is read once, at the places where its pixels come from; nothing larger is warped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import map_coordinates

from napari_unet.arrays.mirror import mirror

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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
class Patch:
    """What the network is shown: an image (C, *S), and the truth and weights at its centre.

    The truth is int64 classes (*S') or float32 values (K, *S'); weights are float32 (*S').
    """

    image: NDArray[np.float32]
    truth: NDArray[Any]
    weights: NDArray[np.float32]


def draw_patch(
    source: Source,
    centre: Sequence[int],
    sizes: tuple[tuple[int, ...], tuple[int, ...]],
    config: AugmentConfig | None,
    rng: np.random.Generator,
) -> Patch:
    """Read a patch around `centre`, varied as `config` says (None: as it is).

    Parameters
    ----------
    source : Source
        Where to read; beyond its edges it is mirrored.
    centre : sequence of int
        The pixel in the middle of the patch.
    sizes : pair of tuples of int
        Size of the image patch, and of the truth and weights in its centre.
    config : AugmentConfig or None
        What to vary.
    rng : numpy.random.Generator
        All randomness comes from here.

    Returns
    -------
    Patch
        Image and values are interpolated linearly, and a value that is made of one that is not
        known does not count; classes and weights are those of the nearest pixel.
    """
    size, labelled = sizes
    coords = grid(size)  # (ndim, *size), relative to the centre
    if config is not None:
        coords = _deform(coords, config, rng)
    coords += np.reshape(np.asarray(centre, np.float64), (-1,) + (1,) * len(size))
    if config is None:
        where = _nearest(coords, source.weights.shape)
        image = np.stack([channel[where] for channel in source.image])
    else:
        image = np.stack([_linear(channel, coords) for channel in source.image])
        image = _vary_grey(image, config, rng)
    core = tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(size, labelled, strict=True))
    return Patch(image, *_look_up(source, coords[(slice(None), *core)], exact=config is None))


def _look_up(
    source: Source, coords: NDArray[np.float64], *, exact: bool
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Return truth and weights at the places `coords` (ndim, *S'); `exact` ones are pixels."""
    where = _nearest(coords, source.weights.shape)
    weights = source.weights[where]
    if not source.has_values:
        return source.truth[where].astype(np.int64), weights
    if exact:
        return np.stack([channel[where] for channel in source.truth]), weights
    values = np.stack([_linear(channel, coords) for channel in source.truth])
    return values, np.where(np.isfinite(values).all(axis=0), weights, np.float32(0))


def grid(size: Sequence[int]) -> NDArray[np.float64]:
    """Return pixel coordinates relative to the centre of a patch: (ndim, *size)."""
    axes = [np.arange(n, dtype=np.float64) - n // 2 for n in size]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def elastic_field(
    size: Sequence[int], spread_px: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw a smooth displacement field (ndim, *size), in pixels.

    Displacements of N(0, spread_px) per component on a coarse grid with 3 nodes per axis
    (corners, mid-edges, centre), interpolated to every pixel by cubic splines
    (Ronneberger et al. 2015, section 3.1). Along a short axis, such as those of a small volume,
    the spread is at most a `GENTLE` part of its length: nodes stand half of it apart, and an
    image that is displaced by much of that is torn rather than deformed.
    """
    spreads = np.reshape([min(spread_px, GENTLE * n) for n in size], (-1, *(1,) * len(size)))
    field = rng.normal(0.0, spreads, (len(size), *(GRID,) * len(size)))
    for axis, n in enumerate(size, start=1):
        field = np.moveaxis(np.tensordot(_cubic(n), field, axes=(1, axis)), 0, axis)
    return field


@lru_cache(maxsize=32)
def _cubic(n: int) -> NDArray[np.float64]:
    """(n, GRID) matrix that interpolates GRID nodes, spread over n pixels, by a cubic spline."""
    places = np.linspace(0, GRID - 1, n)
    return np.stack(
        [map_coordinates(node, [places], order=3, mode="mirror") for node in np.eye(GRID)], axis=1
    )


def _deform(
    coords: NDArray[np.float64], config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.float64]:
    ndim = len(coords)
    matrix = np.eye(ndim) * rng.uniform(1 - config.scale, 1 + config.scale)
    if config.flip:
        matrix = matrix * rng.choice([-1.0, 1.0], size=(ndim, 1))
    if ndim >= 2 and config.rotate_deg:
        angle = np.deg2rad(rng.uniform(-config.rotate_deg, config.rotate_deg))
        turn = np.eye(ndim)
        turn[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix = turn @ matrix
    moved = np.tensordot(matrix, coords, axes=1)
    if config.elastic_px:
        moved += elastic_field(coords.shape[1:], config.elastic_px, rng)
    return moved


def _vary_grey(
    image: NDArray[np.float32], config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    contrast = rng.uniform(1 - config.contrast, 1 + config.contrast)
    image = image * np.float32(contrast) + np.float32(
        rng.uniform(-config.brightness, config.brightness)
    )
    if config.noise:
        spread = np.float32(rng.uniform(0, config.noise))
        image += spread * rng.standard_normal(image.shape, dtype=np.float32)
    return image


def _linear(channel: NDArray[np.float32], coords: NDArray[np.float64]) -> NDArray[np.float32]:
    """Interpolate linearly; outside, the image is mirrored without repeating its edge."""
    return map_coordinates(channel, coords, order=1, mode="mirror", output=np.float32)


def _nearest(coords: NDArray[np.float64], shape: Sequence[int]) -> tuple[NDArray[np.intp], ...]:
    rounded = np.rint(coords).astype(np.intp)
    return tuple(mirror(index, n) for index, n in zip(rounded, shape, strict=True))
