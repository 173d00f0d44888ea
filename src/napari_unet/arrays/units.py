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


UNIT = "µm"  # with the micro sign


def in_micrometres(
    sizes: Mapping[str, float], units: Mapping[str, str | None]
) -> tuple[dict[str, float], str]:
    """Convert the sizes of a pixel along some axes, each with its unit.

    Returns
    -------
    sizes, unit
        The unit is "µm". Sizes whose unit is not known stay as they are, with the unit "", where
        it is the same for all axes; else nothing can be said of them.
    """
    named = {letter: (units.get(letter) or "").lower() for letter in sizes}
    if all(unit in MICROMETRES for unit in named.values()):
        known = {letter: size * MICROMETRES[named[letter]] for letter, size in sizes.items()}
        return known, UNIT
    return dict(sizes) if len(set(named.values())) == 1 else {}, ""
