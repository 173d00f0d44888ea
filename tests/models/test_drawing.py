"""Every network is drawn from its layers: boxes and arrows follow from the network."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from napari_unet.config import ModelConfig
from napari_unet.models.describe import describe
from napari_unet.models.drawing import ALPHA, TIMES, draw
from tests.models.conftest import FORMS

SVG = "{http://www.w3.org/2000/svg}"


def picture(**settings: Any) -> ElementTree.Element:
    """Parse the drawing of a network."""
    return ElementTree.fromstring(draw(describe(ModelConfig(**settings), size=64)))


def count(svg: ElementTree.Element, kind: str) -> int:
    """Count the elements of a class, without those of the legend."""
    return sum(kind == mark.get("class") for mark in svg.iter()) - (
        1 if kind.startswith("arrow") else 0
    )


def words(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_the_padded_unet(depth: int) -> None:
    svg = picture(depth=depth, base=2)
    assert (
        count(svg, "map") == 1 + 3 * depth + 2 + 3 * depth + 1
    )  # image, left, bottom, right, logits
    assert count(svg, "arrow conv") == 2 * (2 * depth + 1)
    for kind in ("down", "up", "skip"):
        assert count(svg, f"arrow {kind}") == depth
    assert count(svg, "arrow one") == 1
    assert count(svg, "part") == depth


def test_the_figure_of_2015() -> None:
    svg = ElementTree.fromstring(draw(describe(ModelConfig(architecture="unet2015"))))
    told = words(svg)
    for size in ("572²", "570²", "568²", "284²", "28²", "56²", "388²"):
        assert size in told
    assert told.count("1,024") == 3  # two at the bottom, and the deepest concatenation
    assert "31,030,658 parameters" in " ".join(told)
    assert "crop and copy" in told


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(("name", "variant"), FORMS)
def test_every_form_has_an_arrow_for_each_way_between_levels(
    name: str, variant: str, ndim: int
) -> None:
    svg = picture(architecture=name, variant=variant, ndim=ndim, base=4, depth=3)
    for kind in ("down", "up", "skip"):
        assert count(svg, f"arrow {kind}") == 3, kind
    assert count(svg, "map") < 5 * 7 + 3


def test_gates_sums_and_supervision_are_shown() -> None:
    def signs(**settings: Any) -> list[str]:
        told = words(picture(base=4, depth=3, **settings))
        return [sign for sign in told if sign in (ALPHA, "+")]

    assert signs(architecture="unet") == []
    assert signs(architecture="attention").count(ALPHA) == 2 + 1  # and in the legend
    assert signs(architecture="attention", gates="all").count(ALPHA) == 3 + 1
    assert signs(architecture="improved").count("+") == 3 + 7 + 1  # skips, blocks
    svg = picture(architecture="attention", base=4, depth=3, supervision=True)
    assert count(svg, "arrow aside") == 2  # of the levels that are not the finest


def test_long_stages_are_shortened() -> None:
    told = words(picture(architecture="dense", variant="103", base=4))
    assert f"15 {TIMES}" in told


def test_uneven_volumes_show_the_size_of_each_axis() -> None:
    svg = picture(ndim=3, base=2, depth=2, halvings=(1, 2, 2), flat=(1, 0, 0))
    assert "32 x 16 x 16".replace("x", TIMES) in words(svg)


def test_a_drawing_is_always_the_same() -> None:
    card = describe(ModelConfig(architecture="attention", base=4, depth=2), size=32)
    assert draw(card) == draw(card) == card["svg"]


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
@pytest.mark.parametrize("architecture", ["unet", "unet2015", "attention"])
def test_levels_of_one_stride_share_a_row(architecture: str, upsampling: str) -> None:
    shared = {"depth": 4, "halvings": (1, 1), "flat": (0, 3)}  # three levels halve nothing
    svg = picture(architecture=architecture, upsampling=upsampling, base=2, **shared)
    assert count(svg, "arrow skip") == 2


def test_a_network_that_halves_nothing_is_drawn_as_a_row() -> None:
    svg = picture(ndim=3, base=2, depth=2, halvings=(0, 0, 0))
    assert count(svg, "map") > 1
