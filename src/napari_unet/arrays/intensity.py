"""Grey values: measured once per image and channel, applied to every tile alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.axes import View
    from napari_unet.arrays.resampled import Resampled

Normalisation = Literal["percentile", "zscore", "none"]

SAMPLE_SIZE = 2**22  # pixels looked at per channel
BLOCK_SIZE = 2**12  # pixels of one block of the sample: 4096, 64 x 64, 16 x 16 x 16
LOW, HIGH = 1.0, 99.8  # percentiles that become 0 and 1
HEAVY = 2.0  # standard deviation over robust spread: from here on, few pixels make the deviation


@dataclass(frozen=True, slots=True)
class Intensity:
    """How grey values become network input: (x - offset) / scale, one number per channel.

    Parameters
    ----------
    offset, scale : tuple of float
        In grey values of the image; `scale` is positive.
    fill : tuple of float
        Grey value that replaces NaN and infinity before: the median of the finite pixels.
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]
    fill: tuple[float, ...]

    def apply(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the normalised copy of an image or tile, float32 (C, *S), always finite."""
        offset, scale, fill = (
            np.asarray(numbers, np.float32).reshape(-1, *[1] * (image.ndim - 1))
            for numbers in (self.offset, self.scale, self.fill)
        )
        result = np.where(np.isfinite(image), image, fill)
        largest = np.finfo(np.float32).max
        with np.errstate(over="ignore"):
            result -= offset
            result /= scale
        return np.clip(result, -largest, largest, out=result)


def unchanged(channels: int) -> Intensity:
    """Return what leaves the finite values of so many channels as they are."""
    return Intensity((0.0,) * channels, (1.0,) * channels, (0.0,) * channels)


def measure_intensity(image: View | Resampled | NDArray[Any], how: Normalisation) -> Intensity:
    """Measure how to normalise an image, channel by channel.

    At most about 4 million pixels per channel are read, all of them or blocks spread evenly
    over the image; statistics are float64.

    Parameters
    ----------
    image : View or array, (C, *S)
        Lazy images are read block by block.
    how : {"percentile", "zscore", "none"}
        Percentiles 1 and 99.8 become 0 and 1 (the extremes, where both are equal); mean 0 and
        spread 1; or as they are. A constant image is only shifted: its scale is 1.

    Raises
    ------
    InputError
        U114 when a channel has no finite pixel.
    """
    channels = [_measure_channel(image, channel, how) for channel in range(image.shape[0])]
    offset, scale, fill = zip(*channels, strict=True)
    return Intensity(offset, scale, fill)


def choose_normalisation(
    images: Sequence[View | Resampled | NDArray[Any]],
) -> Literal["percentile", "zscore"]:
    """Choose how to normalise the images of a training set by the tails of their grey values.

    The spread of a channel is measured twice: as the standard deviation, and from the middle half
    of the pixels (interquartile range / 1.349, the same for a normal distribution). Where the
    first is at least `HEAVY` times the second, few bright pixels on an even ground make it, and
    mean and deviation depend on how many there are: percentiles are taken if that holds for at
    least half of the channels.

    Parameters
    ----------
    images : sequence of View or array, (C, *S) each

    Raises
    ------
    InputError
        U114 when a channel has no finite pixel.
    """
    heavy = [
        _has_heavy_tails(_sample(image, channel))
        for image in images
        for channel in range(image.shape[0])
    ]
    return "percentile" if 2 * sum(heavy) >= len(heavy) else "zscore"


def _has_heavy_tails(sample: NDArray[np.float64]) -> bool:
    low, high = np.percentile(sample, (25, 75))
    return bool(sample.std() >= HEAVY * (high - low) / 1.349)


def _measure_channel(
    image: View | Resampled | NDArray[Any], channel: int, how: Normalisation
) -> tuple[float, float, float]:
    """Return offset, scale and fill of one channel."""
    if how == "none" and image.dtype.kind in "biu":
        return 0.0, 1.0, 0.0
    sample = _sample(image, channel)
    low, middle, high = (float(q) for q in np.percentile(sample, (LOW, 50, HIGH)))
    if how == "none":
        return 0.0, 1.0, middle
    if how == "zscore":
        return float(sample.mean()), _positive(float(sample.std())), middle
    if low == high:  # a few bright spots on an even ground, or a constant image
        low, high = float(sample.min()), float(sample.max())
    return low, _positive(high - low), middle


def _positive(scale: float) -> float:
    """Return a scale that float32 can divide by: 1 instead of nothing."""
    numbers = np.finfo(np.float32)
    smallest, largest = float(numbers.smallest_subnormal), float(numbers.max)
    return min(scale, largest) if scale >= smallest else 1.0


def _sample(image: View | Resampled | NDArray[Any], channel: int) -> NDArray[np.float64]:
    """Return finite pixels of a channel as the network gets them (in float32), as float64 (n,)."""
    blocks = []
    for window in _plan_sample(image.shape[1:]):
        block = np.asarray(image[(slice(channel, channel + 1), *window)])
        with np.errstate(over="ignore"):
            block = block.astype(np.float32, copy=False)
        blocks.append(block[np.isfinite(block)])
    sample = np.concatenate(blocks, dtype=np.float64)
    if not sample.size:
        place = "".join(f"[{index}]" for index in getattr(image, "lead", ()))
        name = getattr(image, "name", "the image") + place
        raise InputError(
            "U114", f"channel {channel} of {name} has no finite pixel", "choose another image"
        )
    return sample


def _plan_sample(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Spread blocks evenly over `shape`: the whole image if it is small enough.

    Short axes are taken whole; the longer ones share what is left of the sample.
    """
    edge = round(BLOCK_SIZE ** (1 / len(shape)))
    budget = float(SAMPLE_SIZE)
    cuts: dict[int, list[slice]] = {}
    by_size = sorted(range(len(shape)), key=lambda axis: shape[axis])
    for axis in by_size:
        left = [shape[other] for other in by_size if other not in cuts]
        share = min(1.0, (budget / math.prod(left)) ** (1 / len(left)))
        cuts[axis] = _spread(shape[axis], edge, share)
        budget /= sum(cut.stop - cut.start for cut in cuts[axis])
    return list(product(*(cuts[axis] for axis in range(len(shape)))))


def _spread(size: int, edge: int, share: float) -> list[slice]:
    """Place blocks of `edge` evenly over an axis so that they cover about `share` of it."""
    if share == 1 or size <= edge:
        return [slice(0, size)]
    count = max(1, int(size * share) // edge)
    starts = (np.arange(count) + 0.5) * size / count - edge / 2
    return [slice(int(start), int(start) + edge) for start in starts]
