"""Patches of training images, read on the device that trains.

A patch is read once, at the places where its pixels come from; nothing larger is warped. Beyond
the edges of an image it is mirrored, without repeating the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from napari_unet.arrays.mirror import mirror
from napari_unet.training.augment import draw_variation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import EllipsisType

    from torch import Tensor

    from napari_unet.config import AugmentConfig
    from napari_unet.training.augment import Source

    Index = tuple[EllipsisType | slice, ...]

RESIDENT = 0.25  # of the free memory of a graphics card may hold training images


class Batch(NamedTuple):
    """What the network is shown, as tensors: images, and truth and weights at their centres.

    The image is (B, C, *S) float32; the truth (B, *S') int64 classes, or (B, K, *S') float32
    values; the weights are (B, *S') float32.
    """

    image: Tensor
    truth: Tensor
    weights: Tensor


class Material(NamedTuple):
    """The arrays of a `Source` as tensors: image (C, *S), truth, and weights (*S).

    Classes are int16, bit by bit what they were: few devices index by unsigned numbers.
    """

    image: Tensor
    truth: Tensor
    weights: Tensor

    @property
    def nbytes(self) -> int:
        """Size of all three, in bytes."""
        return sum(x.nbytes for x in self)

    def to(self, device: torch.device) -> Material:
        """Return these on `device`: copies, if they are elsewhere."""
        return Material(*(x.to(device) for x in self))


@dataclass(frozen=True, slots=True)
class Spot:
    """The surroundings of a pixel, on the device that trains: all that its patch is made of.

    Parameters
    ----------
    material : Material
        Of the surroundings alone.
    centre, start, shape : tuple of int
        The pixel, where its surroundings begin, and the size of the whole image, in pixels.
    """

    material: Material
    centre: tuple[int, ...]
    start: tuple[int, ...]
    shape: tuple[int, ...]


def near(device: torch.device) -> torch.device:
    """Return where patches for `device` are computed: there, if it has all that it takes."""
    return device if device.type == "cuda" else torch.device("cpu")


def move_in(sources: Iterable[Source], device: torch.device) -> list[Material]:
    """Return sources as tensors: on `device` if there is room, else in the memory they are in."""
    here = [_as_tensors(source) for source in sources]
    if device.type != "cuda":
        return here
    free, _ = torch.cuda.mem_get_info(device)
    fit = sum(material.nbytes for material in here) <= RESIDENT * free
    return [material.to(device) for material in here] if fit else here


def draw_patches(
    places: Sequence[tuple[Material, Sequence[int]]],
    sizes: tuple[tuple[int, ...], tuple[int, ...]],
    config: AugmentConfig | None,
    rng: np.random.Generator,
    device: torch.device,
) -> Batch:
    """Read patches around pixels, varied as `config` says (None: as they are).

    Parameters
    ----------
    places : sequence of (Material, sequence of int)
        An image, and the pixel in the middle of the patch.
    sizes : pair of tuples of int
        Size of the image patches, and of the truth and weights in their centres.
    config : AugmentConfig or None
        What to vary.
    rng : numpy.random.Generator
        All randomness comes from here.
    device : torch.device
        Where to compute. Of an image that is elsewhere, only the surroundings of the patch are
        moved there.

    Returns
    -------
    Batch
        Image and values are interpolated linearly, and a value that is made of one that is not
        known does not count; classes and weights are those of the nearest pixel.
    """
    size = sizes[0]
    if config is None:
        plain = [-(n // 2) for n in size], [n - n // 2 for n in size]
        cuts = [_cut(_approach(*place, plain, device), sizes) for place in places]
        return Batch(*map(torch.stack, zip(*cuts, strict=True)))
    variation = draw_variation(len(places), size, config, rng)
    spots = [
        _approach(*place, (-reach, reach + 1), device)
        for place, reach in zip(places, variation.reach(size), strict=True)
    ]
    coords = _fold(variation.places(size, device), spots)  # (B, ndim, *size)
    images = torch.cat([_linear(s.material.image, c) for s, c in zip(spots, coords, strict=True)])
    coords = coords[_core(*sizes)]
    found = [_look_up(s.material, c) for s, c in zip(spots, coords, strict=True)]
    truth, weights = map(torch.stack, zip(*found, strict=True))
    return Batch(variation.vary_grey(images), truth, weights)


def _as_tensors(source: Source) -> Material:
    truth = source.truth if source.has_values else source.truth.view(np.int16)
    return Material(*map(torch.from_numpy, (source.image, truth, source.weights)))


def _core(size: Sequence[int], labelled: Sequence[int]) -> Index:
    """Return what takes the centre of patches (..., *S)."""
    return (
        ...,
        *(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(size, labelled, strict=True)),
    )


def _approach(
    material: Material,
    centre: Sequence[int],
    window: tuple[Sequence[int], Sequence[int]],
    device: torch.device,
) -> Spot:
    """Take what a window needs (start and stop, relative to the centre), mirrored or not."""
    shape = tuple(material.weights.shape)
    box: list[slice] = []
    for c, start, stop, n in zip(centre, *window, shape, strict=True):
        index = mirror(np.arange(c + start, c + stop), n)
        box.append(slice(int(index.min()), int(index.max()) + 1))
    inside: Index = (..., *box)
    part = Material(*(x[inside] for x in material)).to(device)
    return Spot(part, tuple(centre), tuple(b.start for b in box), shape)


def _cut(spot: Spot, sizes: tuple[tuple[int, ...], tuple[int, ...]]) -> Batch:
    """Read a patch as it is: image (C, *S), truth and weights."""
    image, truth, weights = spot.material
    for axis, n in enumerate(sizes[0]):
        first = spot.centre[axis] - n // 2
        pixels = mirror(np.arange(first, first + n), spot.shape[axis]) - spot.start[axis]
        index = torch.from_numpy(pixels).to(image.device)
        image, truth, weights = (
            x.index_select(axis - len(sizes[0]), index) for x in (image, truth, weights)
        )
    core = _core(*sizes)
    return Batch(image, _as_truth(truth)[core], weights[core])


def _fold(offsets: Tensor, spots: Sequence[Spot]) -> Tensor:
    """Turn offsets from the centres (B, ndim, *S) into pixels of the surroundings, mirrored.

    The way from edge to edge and back is measured from an edge that is near, because float32
    does not tell pixels apart that are far from where it counts from.
    """
    shape = (len(spots), -1) + (1,) * (offsets.ndim - 2)
    edges, signs, centres, periods = [], [], [], []
    for spot in spots:
        sides = zip(spot.start, spot.material.weights.shape, spot.shape, strict=True)
        far = [start > 0 and start + part == whole for start, part, whole in sides]
        lasts = [n - 1 for n in spot.material.weights.shape]
        edges.append([last if f else 0 for last, f in zip(lasts, far, strict=True)])
        signs.append([-1 if f else 1 for f in far])
        centres.append([c - start for c, start in zip(spot.centre, spot.start, strict=True)])
        periods.append([max(2 * (n - 1), 1) for n in spot.shape])
    edge, sign, centre, period = (
        torch.tensor(x, dtype=torch.float32).to(offsets.device).view(shape)
        for x in (edges, signs, centres, periods)
    )
    way = (offsets + (centre - edge)).abs_().fmod_(period)
    return edge + sign * torch.minimum(way, period - way)


def _linear(channels: Tensor, coords: Tensor) -> Tensor:
    """Interpolate channels (C, *S) at pixels (ndim, *S'): (1, C, *S')."""
    if len(coords) == 1:  # a signal is an image of one row
        rows = torch.cat([torch.zeros_like(coords), coords])[:, None]
        return _linear(channels[:, None], rows)[:, :, 0]
    sizes = torch.tensor(channels.shape[1:], dtype=torch.float32).to(coords.device)
    grid = coords.movedim(0, -1).add(0.5).mul(2 / sizes).sub(1).flip(-1)  # x first, -1 to 1
    return functional.grid_sample(
        channels[None], grid[None], padding_mode="border", align_corners=False
    )


def _look_up(material: Material, coords: Tensor) -> tuple[Tensor, Tensor]:
    """Return truth and weights at pixels (ndim, *S')."""
    nearest = tuple(coords.round().long())
    weights = material.weights[nearest]
    if material.truth.is_floating_point():
        values = _linear(material.truth, coords)[0]
        return values, torch.where(values.isfinite().all(0), weights, 0)
    return _as_truth(material.truth[nearest]), weights


def _as_truth(truth: Tensor) -> Tensor:
    return truth if truth.is_floating_point() else truth.long()
