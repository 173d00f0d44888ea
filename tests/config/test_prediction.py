"""How to apply a model: what can be asked for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from napari_unet.config import PredictConfig, explain


def test_what_to_compute_may_be_left_to_the_model() -> None:
    assert PredictConfig().outputs == ()


def test_outputs_are_known() -> None:
    with pytest.raises(ValidationError) as caught:
        PredictConfig(outputs=("classes", "masks"))
    assert explain(caught.value).code == "U150"


@pytest.mark.parametrize("tile", [0, -64, "large"])
def test_a_tile_is_a_size_or_auto(tile: int | str) -> None:
    with pytest.raises(ValidationError) as caught:
        PredictConfig(tile=tile)
    assert explain(caught.value).code == "U150"


@pytest.mark.parametrize("region", [((5, 2),), ((-1, 4),), ((3, 3),)])
def test_a_region_has_an_inside(region: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        PredictConfig(region=region)
    assert explain(caught.value).code == "U150"


def test_an_outline_has_corners() -> None:
    with pytest.raises(ValidationError) as caught:
        PredictConfig(outline=((0, 0), (5, 5)))
    assert explain(caught.value).code == "U150"
