"""A network by name and size: what is left out comes from its paper."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from napari_unet.config import ARCHITECTURES, OPTIONS, ModelConfig, explain
from tests.config.strategies import networks

FORMS = [(name, variant) for name, a in ARCHITECTURES.items() for variant in a.variants]


def test_the_2015_network_is_that_of_the_paper() -> None:
    config = ModelConfig(architecture="unet2015")
    assert (config.base, config.depth, config.classes) == (64, 4, 2)
    assert (config.upsampling, config.norm, config.dropout) == ("transposed", "none", 0.5)
    assert config.variant == "figure"


@pytest.mark.parametrize(("name", "variant"), FORMS)
def test_a_variant_brings_its_own_settings(name: str, variant: str) -> None:
    config, architecture = ModelConfig(architecture=name, variant=variant), ARCHITECTURES[name]
    own = {**architecture.defaults, **architecture.variants[variant]}
    assert {key: getattr(config, key) for key in own} == own
    assert config.variant == variant


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_first_variant_is_what_one_gets_without_asking(name: str) -> None:
    first = next(iter(ARCHITECTURES[name].variants))
    assert ModelConfig(architecture=name) == ModelConfig(architecture=name, variant=first)


@pytest.mark.parametrize(("name", "variant"), FORMS)
def test_what_is_said_wins_over_the_paper(name: str, variant: str) -> None:
    config = ModelConfig(architecture=name, variant=variant, base=7, depth=2)
    assert (config.base, config.depth) == (7, 2)


def test_equal_settings_are_equal_keys() -> None:
    assert len({ModelConfig(base=8), ModelConfig(base=8), ModelConfig(base=9)}) == 2


CHOICES = {  # two values of every option
    "kernel": (3, 11),
    "norm": ("none", "batch"),
    "upsampling": ("nearest", "linear"),
    "pooling": ("max", "conv"),
    "blocks": (1, 7),
    "expansion": (4, 7),
    "dropout": (0.0, 0.125),
    "gates": ("deeper", "all"),
    "supervision": (False, True),
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_option_is_taken_or_refused_by_name(name: str, option: str) -> None:
    paper = getattr(ModelConfig(architecture=name), option)
    other = next(value for value in CHOICES[option] if value != paper)
    assert ModelConfig(architecture=name, **{option: paper}) == ModelConfig(architecture=name)
    if option in ARCHITECTURES[name].options:
        config = ModelConfig(architecture=name, **{option: other})
        assert getattr(config, option) == other
        return
    with pytest.raises(ValidationError) as caught:
        ModelConfig(architecture=name, **{option: other})
    error = explain(caught.value)
    assert error.code == "U151"
    assert repr(option) in error.what
    assert all(known in error.remedy for known in ARCHITECTURES[name].options)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"variant": "1999"}, "no variant '1999'"),
        ({"kernel": 4}, "kernel = 4"),
        ({"kernel": 1}, "kernel = 1"),
        ({"ndim": 3, "halvings": (1, 2)}, "halvings has 2 numbers, space has 3 axes"),
        ({"ndim": 1, "flat": (1, 0)}, "flat has 2 numbers, space has 1 axes"),
        ({"depth": 2, "halvings": (2, 3)}, "axis 1 is flat on 0 levels and halved 3 times"),
        (
            {"depth": 2, "halvings": (2, 2), "flat": (1, 0)},
            "axis 0 is flat on 1 levels and halved 2 times",
        ),
        ({"depth": 2, "flat": (3, 0)}, "axis 0 is flat on 3 levels"),
        ({"halvings": (-1, 0)}, "halvings"),
    ],
)
def test_a_network_that_there_is_not_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelConfig(**settings)
    error = explain(caught.value)
    assert error.code == "U150"
    assert words in error.what


@given(networks())
def test_axes_are_left_alone_then_halved_then_kept(settings: dict[str, Any]) -> None:
    config = ModelConfig(**settings)
    for axis in range(config.ndim):
        flat, halvings = config.levels(axis)
        strides = [config.stride(level)[axis] for level in range(config.depth)]
        assert strides == [1] * flat + [2] * halvings + [1] * (config.depth - flat - halvings)
        assert math.prod(strides) == 2**halvings
        taps = [config.taps(level)[axis] for level in range(config.depth + 1)]
        assert taps == [1] * flat + [config.kernel] * (config.depth + 1 - flat)
        assert [config.taps(level, 5)[axis] == 5 for level in range(config.depth + 1)] == [
            n > 1 for n in taps
        ]


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_axes_are_all_alike_unless_said_otherwise(ndim: int) -> None:
    config = ModelConfig(ndim=ndim, depth=3)
    assert [config.levels(axis) for axis in range(ndim)] == [(0, 3)] * ndim
    assert {config.stride(level) for level in range(3)} == {(2,) * ndim}
    assert {config.taps(level) for level in range(4)} == {(3,) * ndim}
