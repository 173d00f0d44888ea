"""How an image will be predicted, as a value and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Plan:
    """How an image is predicted.

    Parameters
    ----------
    way : {"tiles", "rows"}
        Every tile on its own, or tiles below one another as one stream of rows.
    tile : tuple of int
        Edges of the tiles in pixels, per spatial axis.
    rows : int
        How many rows (of the first spatial axis) enter the network at a time.
    margin : tuple of int
        Context that a tile needs on every side, in pixels.
    redundant : float
        Operations beyond those of the region in one piece, as a share of these.
    bytes : int
        Memory beyond the image, the result and the network, at most.
    seconds : float or None
        Estimated time; None where nothing was measured.
    tiles : int
        How many there are, over all positions of a stack.
    backend, precision : str
        What computes, in which numbers.
    note : str
        What the user should know of the size of the pixels; see `Zoom`.
    """

    way: Literal["tiles", "rows"]
    tile: tuple[int, ...]
    rows: int
    margin: tuple[int, ...]
    redundant: float
    bytes: int
    seconds: float | None
    tiles: int
    backend: str
    precision: str
    note: str = ""

    def __str__(self) -> str:
        edges, margin = times(self.tile), times(self.margin)
        tiles = f"{self.tiles:,} tile{'s' if self.tiles > 1 else ''} of {edges} pixels"
        if self.way == "rows":
            rows = f"{self.rows} row{'s' if self.rows > 1 else ''}"
            tiles = f"streaming {rows} at a time into {tiles}"
        words = [
            f"{tiles} (margin {margin})",
            f"{self.redundant:.0%} computed twice" if self.redundant > 0.005 else "nothing twice",
            f"{self.bytes / GIB:.2f} GiB",
        ]
        if self.seconds is not None:
            words.append(f"about {_duration(self.seconds)}")
        others = [self.backend] if self.backend != "torch" else []
        others += [self.precision] if self.precision != "float32" else []
        others += [self.note] if self.note else []
        return ", ".join([*words, *others])


def times(numbers: Sequence[int]) -> str:
    """Write edges as 512x300."""
    return "x".join(map(str, numbers))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
