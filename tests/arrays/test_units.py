"""Sizes of pixels are in micrometres wherever their unit is known."""

from __future__ import annotations

import pytest

from napari_unet.arrays.units import in_micrometres


@pytest.mark.parametrize(
    ("size", "unit"),
    [(500.0, "nm"), (0.5, "µm"), (0.5, "micron"), (5e-4, "mm"), (5000.0, "angstrom"), (5e-7, "m")],
)
def test_one_size_in_any_unit_is_the_same(size, unit):
    for spelling in (unit, unit.upper()):
        found, unit_found = in_micrometres({"X": size}, {"X": spelling})
        assert (found, unit_found) == ({"X": pytest.approx(0.5)}, "µm")


def test_what_is_not_known_is_not_made_up():
    sizes = {"Y": 2.0, "X": 3.0}
    assert in_micrometres(sizes, {}) == (sizes, "")
    assert in_micrometres(sizes, {"Y": "pixel", "X": "pixel"}) == (sizes, "")
    assert in_micrometres(sizes, {"Y": "nm"}) == ({}, "")
    assert in_micrometres({}, {"Y": "nm"})[0] == {}
