"""Images to try things on, made by code: what a microscope would show, and the truth behind it.

Every sample is a pure function of a shape and a seed. Objects are drawn first; then light is
formed as in a microscope: blur, light from other planes, uneven illumination, photon noise
and the noise of the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.measure import label as connected

from napari_unet.arrays.signals import signals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Field = NDArray[np.float32]
    Sample = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Optics:
    """How light reaches the camera."""

    blur_px: tuple[float, ...]  # standard deviation of the focus, per axis
    haze_px: tuple[float, ...]  # the same for light from other planes
    haze: float  # its share
    photons: float  # of a bright object, per pixel
    background: float  # relative to a bright object


def touching_cells(
    shape: tuple[int, int] = (512, 512), seed: int = 0
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Draw fluorescent nuclei that touch each other in clumps.

    Returns
    -------
    image : uint16 array, (Y, X)
        Unequal brightness, blur, haze, shading, photon and camera noise.
    labels : int32 array, (Y, X)
        0 is background; objects are numbered from 1, each in one piece.
    """
    rng = np.random.default_rng(seed)
    labels, depth = _draw_objects(shape, (15.0, 15.0), 0.5, rng)
    optics = _Optics((1.3, 1.3), (14.0, 14.0), haze=0.3, photons=160.0, background=0.06)
    return _expose(_stain(labels, depth, rng), optics, rng), labels


def nuclei_3d(
    shape: tuple[int, int, int] = (48, 192, 192), seed: int = 0
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Draw a stack of fluorescent nuclei, blurred most along Z and darker with depth.

    A voxel is taken to be twice as deep as it is wide.

    Returns
    -------
    image : uint16 array, (Z, Y, X)
    labels : int32 array, (Z, Y, X)
        0 is background; objects are numbered from 1, each in one piece.
    """
    rng = np.random.default_rng(seed)
    labels, depth = _draw_objects(shape, (6.5, 13.0, 13.0), 0.65, rng)
    stain = _stain(labels, depth, rng)
    stain *= np.exp(-np.linspace(0, 0.7, shape[0], dtype=np.float32))[:, None, None]
    optics = _Optics((1.7, 1.2, 1.2), (6.0, 12.0, 12.0), haze=0.25, photons=70.0, background=0.05)
    return _expose(stain, optics, rng), labels


def membranes(
    shape: tuple[int, int] = (512, 512), seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a section of tissue as in electron microscopy: dark membranes between cells.

    Returns
    -------
    image : uint8 array, (Y, X)
        Membranes of uneven width and contrast, mitochondria and vesicles inside the cells.
    labels : uint8 array, (Y, X)
        0 membrane, 1 inside a cell.
    """
    rng = np.random.default_rng(seed)
    cells, distance = _draw_section(shape, rng)
    half_width = 2.5 + 0.7 * _smooth(shape, (14.0, 14.0), rng)
    half_width = np.clip(half_width, 1.5, 5.5)
    inside = distance > half_width
    tone = rng.normal(0, 0.035, cells.max() + 1).astype(np.float32)
    picture = 0.66 + tone[cells] + _cytoplasm(shape, rng)
    picture -= _organelles(shape, distance, rng)
    faint = np.clip(0.46 + 0.1 * _smooth(shape, (18.0, 18.0), rng), 0.15, 0.7)
    picture -= faint * np.exp(-0.5 * (distance / (0.75 * half_width)) ** 2)
    picture = ndimage.gaussian_filter(picture, 0.9)
    picture += 0.05 * _smooth(shape, (90.0, 90.0), rng)
    picture += rng.normal(0, 0.055, shape) + 0.025 * _smooth(shape, (0.8, 0.8), rng)
    image = np.clip(255 * picture, 0, 255).astype(np.uint8)
    return image, inside.astype(np.uint8)


SAMPLES: Mapping[str, Callable[..., Sample]] = MappingProxyType(
    {"cells": touching_cells, "nuclei": nuclei_3d, "membranes": membranes, "signals": signals}
)
SAMPLE_NDIM: Mapping[str, int] = MappingProxyType(  # of space: rows of signals are looped over
    {"cells": 2, "nuclei": 3, "membranes": 2, "signals": 1}
)


def _smooth(shape: Sequence[int], sigma_px: Sequence[float], rng: np.random.Generator) -> Field:
    """Return smooth noise of zero mean and unit spread, computed on a coarser grid."""
    zoom = [max(1.0, sigma / 2) for sigma in sigma_px]
    coarse = [int(np.ceil(n / z)) + 2 for n, z in zip(shape, zoom, strict=True)]
    white = rng.normal(size=coarse).astype(np.float32)
    rough = ndimage.gaussian_filter(
        white, [s / z for s, z in zip(sigma_px, zoom, strict=True)], mode="wrap"
    )
    rough /= max(float(rough.std()), 1e-6)
    if max(zoom) == 1:
        return rough[tuple(slice(n) for n in shape)]
    return ndimage.affine_transform(
        rough, [1 / z for z in zoom], output_shape=tuple(shape), order=1, mode="nearest"
    )


def _draw_objects(
    shape: tuple[int, ...], radius_px: tuple[float, ...], crowd: float, rng: np.random.Generator
) -> tuple[NDArray[np.int32], Field]:
    """Draw crowded ellipsoids with uneven outlines; return labels and distance from the centre.

    The distance is 0 at the centre of an object, 1 at its outline and larger outside.
    """
    labels = np.zeros(shape, np.int32)
    nearest = np.full(shape, 1.0, np.float32)
    wobble = 0.1 * _smooth(shape, [0.55 * r for r in radius_px], rng)
    for number, centre in enumerate(_place(shape, radius_px, crowd, rng), start=1):
        window, distance = _ellipsoid(shape, centre, radius_px, rng)
        distance = distance + wobble[window]
        closer = distance < nearest[window]
        nearest[window][closer] = distance[closer]
        labels[window][closer] = number
    return _whole_objects(labels, int(0.4 * np.prod(radius_px))), nearest


def _place(
    shape: tuple[int, ...], radius_px: tuple[float, ...], crowd: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Place centres on a shaken grid, in clumps that take up the share `crowd`: (n, ndim)."""
    pitch = np.array([1.8 * r for r in radius_px])
    ticks = [np.arange(-p / 2, n + p, p) for n, p in zip(shape, pitch, strict=True)]
    grid = np.stack(np.meshgrid(*ticks), axis=-1).reshape(-1, len(shape))
    centres: NDArray[np.float64] = grid + rng.normal(0, 0.22, grid.shape) * pitch
    clump = _smooth(shape, [1.9 * r for r in radius_px], rng)
    at = tuple(np.clip(centres.T.astype(int), 0, np.array(shape)[:, None] - 1))
    kept: NDArray[np.bool_] = clump[at] > np.quantile(clump[at], 1 - crowd)
    return centres[kept]


def _ellipsoid(
    shape: tuple[int, ...],
    centre: NDArray[np.float64],
    radius_px: tuple[float, ...],
    rng: np.random.Generator,
) -> tuple[tuple[slice, ...], Field]:
    """Return a window around an ellipsoid of random size and direction, and its distance."""
    ndim = len(shape)
    rotation, _ = np.linalg.qr(rng.normal(size=(ndim, ndim)))
    stretch = rng.uniform(0.8, 1.25) * rng.uniform(0.75, 1.2, ndim)
    reach = 1.9 * np.array(radius_px)
    window = tuple(
        slice(max(int(c - r), 0), max(min(int(c + r) + 2, n), 0))
        for c, r, n in zip(centre, reach, shape, strict=True)
    )
    axes = np.ogrid[window]
    unit = [(a - c) / r for a, c, r in zip(axes, centre, radius_px, strict=True)]
    turned = [sum(rotation[i, j] * unit[j] for j in range(ndim)) / stretch[i] for i in range(ndim)]
    return window, np.sqrt(sum(t**2 for t in turned)).astype(np.float32)


def _whole_objects(labels: NDArray[np.int32], smallest_px: int) -> NDArray[np.int32]:
    """Number the connected pieces from 1, without slivers that others left of an object."""
    pieces = connected(labels, connectivity=1)
    sizes = np.bincount(pieces.ravel())
    kept = sizes >= smallest_px
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    whole: NDArray[np.int32] = numbers[pieces]
    return whole


def _stain(labels: NDArray[np.int32], depth: Field, rng: np.random.Generator) -> Field:
    """Return the light that objects give off: unequal, domed, with chromatin and nucleoli."""
    shape, ndim = labels.shape, labels.ndim
    brightness = rng.lognormal(0, 0.35, labels.max() + 1).astype(np.float32)
    brightness[0] = 0
    dome = np.sqrt(np.clip(1.1 - depth**2, 0.05, 1))
    chromatin = _smooth(shape, [3.4] * ndim, rng)
    texture = 1 + 0.13 * _smooth(shape, [2.0] * ndim, rng) + 0.13 * chromatin
    nucleoli = np.clip(-chromatin - 1.5, 0, 0.7)
    light: Field = brightness[labels] * dome * np.clip(texture - nucleoli, 0.15, None)
    return light


def _expose(light: Field, optics: _Optics, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Form an image of `light` on a camera with an offset of 100 grey values."""
    focus = ndimage.gaussian_filter(light, optics.blur_px)
    haze = ndimage.gaussian_filter(light, optics.haze_px, truncate=2)
    glow = np.clip(1 + 0.5 * _smooth(light.shape, [4 * h for h in optics.haze_px], rng), 0, None)
    seen = focus + optics.haze * haze + optics.background * glow
    photons = rng.poisson(optics.photons * seen * _shading(light.shape, rng))
    grey = 100 + 9.0 * photons + 12.0 * rng.standard_normal(light.shape, np.float32)
    image: NDArray[np.uint16] = np.clip(grey, 0, 65535).astype(np.uint16)
    return image


def _shading(shape: Sequence[int], rng: np.random.Generator) -> Field:
    """Return uneven illumination of the last two axes: brightest near the middle."""
    y, x = np.ogrid[-1 : 1 : shape[-2] * 1j, -1 : 1 : shape[-1] * 1j]
    y0, x0 = rng.uniform(-0.35, 0.35, 2)
    lamp = 1.05 - 0.28 * ((y - y0) ** 2 + (x - x0) ** 2)
    shading: Field = np.clip(lamp, 0.3, None).astype(np.float32)
    return shading


def _draw_section(
    shape: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.intp], Field]:
    """Divide a plane into crooked cells.

    Returns
    -------
    cells : int array, (Y, X)
        Which cell a pixel belongs to.
    distance : float32 array, (Y, X)
        Distance from the nearest boundary, in pixels.
    """
    pixels = np.moveaxis(np.indices(shape, np.float32), 0, -1)  # (Y, X, 2), to be bent
    for sigma_px, bend_px in ((45.0, 18.0), (14.0, 5.0), (5.0, 1.3)):
        for axis in range(2):
            pixels[..., axis] += bend_px * _smooth(shape, (sigma_px, sigma_px), rng)
    centres = _scatter(shape, rng)
    found: tuple[Any, Any] = KDTree(centres).query(pixels, k=2)
    (d1, d2), (first, second) = (np.moveaxis(array, -1, 0) for array in found)
    apart = np.linalg.norm(centres[first] - centres[second], axis=-1)
    return first, ((d2**2 - d1**2) / (2 * apart)).astype(np.float32)


def _scatter(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Scatter the centres of cells of very different sizes over a plane and beyond its edges."""
    beyond = 80.0
    area = np.prod(np.array(shape) + 2 * beyond)
    centres = rng.uniform(-beyond, np.array(shape) + beyond, (max(8, int(area / 500)), 2))
    room = np.clip(rng.lognormal(2.9, 0.55, len(centres)), 9, 75)  # px that a cell keeps to itself
    kept: list[int] = []
    for i in np.argsort(-room):
        if all(np.hypot(*(centres[i] - centres[k])) > room[k] for k in kept):
            kept.append(int(i))
    return centres[kept]


def _cytoplasm(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return the grain of cytoplasm: ribosomes, filaments, uneven stain."""
    fine = _smooth(shape, (1.1, 1.1), rng)
    middle = _smooth(shape, (3.0, 3.0), rng)
    coarse = _smooth(shape, (14.0, 14.0), rng)
    grain: Field = 0.06 * fine + 0.045 * middle + 0.04 * coarse
    return grain


def _organelles(shape: tuple[int, int], distance: Field, rng: np.random.Generator) -> Field:
    """Return how much darker mitochondria and vesicles are; they lie well inside cells."""
    dark = np.zeros(shape, np.float32)
    for _ in range(max(1, int(np.prod(shape) / 3500))):
        centre = np.array([rng.uniform(0, n) for n in shape])
        at = tuple(centre.astype(int))
        radius = rng.uniform(6, 17)
        if distance[at] < 0.9 * radius + 4:
            continue
        window, ring = _ellipsoid(shape, centre, (radius, 0.65 * radius), rng)
        wall = np.exp(-(((ring - 1) * radius / 1.4) ** 2))
        dark[window] = np.maximum(dark[window], 0.26 * (ring < 1) + 0.2 * wall)
    ridges = np.abs(_smooth(shape, (1.6, 1.6), rng))  # cristae
    dark *= 0.75 + 0.35 * ridges
    vesicles = np.clip(np.abs(_smooth(shape, (2.0, 2.0), rng)) - 1.9, 0, 0.6)
    dark += 0.3 * vesicles * (distance > 7)
    return dark
