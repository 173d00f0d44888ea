"""A network by name and size: what is left out comes from its paper."""

from __future__ import annotations

import pytest

from napari_unet.config import ARCHITECTURES, ModelConfig


def test_the_2015_network_is_that_of_the_paper() -> None:
    config = ModelConfig(architecture="unet2015")
    assert (config.base, config.depth, config.classes) == (64, 4, 2)
    assert (config.upsampling, config.norm, config.dropout) == ("transposed", "none", 0.5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_said_wins_over_the_paper(name: str) -> None:
    config = ModelConfig(architecture=name, base=7, depth=2)
    assert (config.base, config.depth) == (7, 2)


def test_equal_settings_are_equal_keys() -> None:
    assert len({ModelConfig(base=8), ModelConfig(base=8), ModelConfig(base=9)}) == 2
