"""How large a pixel is, where that is known, compared and put in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.arrays.units import UNIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.arrays.axes import Picture

ALIKE = 0.05  # sizes that differ by less are the same: stages and objectives are no better known

BELIEVED = 10  # times: what differs by more than that is rather a file that is wrong


def known_size(picture: Picture, ndim: int) -> tuple[float, ...] | None:
    """Return the size of a pixel along the last `ndim` axes of space in µm; None if not known.

    Numbers without a unit, as of layers that nobody gave one, do not count as known.
    """
    spacing = picture.spacing or ()
    return spacing[-ndim:] if picture.unit == UNIT and len(spacing) >= ndim else None


def are_alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Tell whether two sizes of pixels differ by at most 5 % along each axis."""
    return all(max(a, b) <= (1 + ALIKE) * min(a, b) for a, b in zip(one, other, strict=True))


def are_believed(one: Sequence[float], other: Sequence[float]) -> bool:
    """Tell whether two sizes of pixels differ by at most 10 times along each axis."""
    return all(max(a, b) <= BELIEVED * min(a, b) for a, b in zip(one, other, strict=True))


def is_brought(size: Sequence[float], wanted: Sequence[float]) -> bool:
    """Tell whether an image is resampled to `wanted`: its pixels differ, but not beyond belief."""
    return are_believed(size, wanted) and not are_alike(size, wanted)


def size_in_words(*sizes: Sequence[float], unit: str = UNIT) -> str:
    """Write sizes of pixels, one number where all axes have the same.

    Examples
    --------
    >>> size_in_words((2.0, 0.65, 0.65)), size_in_words((0.65, 0.65), (0.325, 0.325))
    ('2 x 0.65 x 0.65 µm', '0.65 to 0.325 µm')
    """
    words = (
        " x ".join(f"{n:.4g}" for n in (size if len(set(size)) > 1 else size[:1])) for size in sizes
    )
    return " to ".join(words) + (f" {unit}" if unit else "")
