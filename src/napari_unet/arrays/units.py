"""Sizes of pixels in micrometres, whatever unit a file has them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MICROMETRES: Mapping[str, float] = {
    "angstrom": 1e-4,
    "å": 1e-4,
    "nanometer": 1e-3,
    "nm": 1e-3,
    "micrometer": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "um": 1.0,
    "µm": 1.0,  # the micro sign
    "μm": 1.0,  # the Greek letter
    "millimeter": 1e3,
    "mm": 1e3,
    "centimeter": 1e4,
    "cm": 1e4,
    "inch": 25400.0,
    "meter": 1e6,
    "m": 1e6,
}


def in_micrometres(sizes: Mapping[str, float], units: Mapping[str, str | None]) -> dict[str, float]:
    """Convert the sizes of a pixel along some axes, each with its unit.

    Sizes whose unit is not known stay as they are where it is the same for all axes; else
    nothing can be said of them.
    """
    named = {letter: (units.get(letter) or "").lower() for letter in sizes}
    if all(unit in MICROMETRES for unit in named.values()):
        return {letter: size * MICROMETRES[named[letter]] for letter, size in sizes.items()}
    return dict(sizes) if len(set(named.values())) == 1 else {}
