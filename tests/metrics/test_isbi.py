"""Membranes are scored slice by slice, at the threshold that suits each measure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_unet.config import InputError
from napari_unet.metrics.boundaries import grow_regions, v_scores
from napari_unet.metrics.evaluate import evaluate, evaluate_many
from napari_unet.metrics.isbi import LEVELS, RULERS
from tests.metrics.test_boundaries import four_cells, merged, split

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PERFECT = {name: 0.0 if name in ("vi", "pixel_error", "warping_error") else 1.0 for name in RULERS}


def measures(result: dict[str, Any]) -> dict[str, float]:
    return {name: result[name] for name in RULERS}


@pytest.fixture(scope="module")
def membranes(data: Path) -> NDArray[Any]:
    """Four slices of the challenge, 160 x 160 pixels of each: 0 membrane, 255 inside."""
    tifffile = pytest.importorskip("tifffile")
    files = sorted((data / "isbi2012_em/labels").glob("*.tif"))[:4]
    return np.stack([tifffile.imread(file)[:160, :160] for file in files])


def test_perfect_is_perfect(membranes: NDArray[Any]) -> None:
    for prediction in (membranes, membranes > 0, membranes // 255, 0.1 + membranes / 300):
        result = evaluate(prediction, membranes, "isbi")
        assert measures(result) == pytest.approx(PERFECT)
        assert result["pooled"] == pytest.approx(PERFECT)
        assert (result["n_slices"], result["n_pixels"]) == (4, membranes.size)


def test_every_measure_is_read_where_it_is_best(membranes: NDArray[Any]) -> None:
    blurred = gaussian_filter(membranes[0] / 255.0, 2.0).clip(0, 1)
    result = evaluate(blurred, membranes[0], "isbi")
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    for level in LEVELS:
        cut = evaluate(blurred > level, membranes[0], "isbi")
        assert cut["threshold"]["v_rand"] is None
        for name, ruler in RULERS.items():
            if name == "warping_error":  # which pixels are bent first depends on the probability
                continue
            sign = -1 if PERFECT[ruler] == 1 else 1
            assert sign * result[ruler] <= sign * cut[ruler]
            if level == result["threshold"][name]:
                assert result[name] == cut[name]
    assert result["warping_error"] < result["pixel_error"]


def test_a_stack_is_the_mean_of_its_slices(membranes: NDArray[Any]) -> None:
    eaten = membranes.copy()
    eaten[:, 40:44] = 0
    eaten[1, :, 60:90] = 255
    stack = evaluate(eaten, membranes, "isbi")
    slices = evaluate_many(zip(eaten, membranes, strict=True), "isbi")
    assert measures(stack) == pytest.approx(measures(slices["mean"]))
    assert measures(slices["pooled"]) == measures(stack)
    assert slices["pooled"]["pooled"] == stack["pooled"]
    assert stack["pooled"]["pixel_error"] == pytest.approx(np.mean(eaten != membranes))


def test_labels_are_segments_as_they_are() -> None:
    for cells in (merged(), split()):
        result = evaluate(cells, four_cells(), "isbi")
        expected = v_scores(grow_regions(cells), four_cells())
        assert result["v_rand"] == pytest.approx(expected.v_rand)
        assert result["vi"] == pytest.approx(expected.vi)


def test_objects_that_touch_are_apart() -> None:
    touching = np.repeat([[1, 1, 1, 2, 2, 2]], 6, axis=0)
    assert measures(evaluate(touching, touching, "isbi")) == PERFECT
    assert evaluate(touching > 0, touching, "isbi")["v_rand_merge"] == pytest.approx(0.5)


def test_ignored_pixels_count_nowhere() -> None:
    truth = np.pad(four_cells(), 3, constant_values=9)
    inside = np.pad(four_cells() / 5.0, 3)
    other = np.where(truth == 9, 0.95, inside)
    found = evaluate(inside, truth, "isbi", ignore=9)
    assert found == evaluate(other, truth, "isbi", ignore=9)
    assert found["n_pixels"] == four_cells().size
    stack = np.stack([truth, np.full_like(truth, 9)])
    assert evaluate(stack > 0, stack, "isbi", ignore=9)["n_slices"] == 1


def test_without_a_segment_the_v_scores_are_not_defined() -> None:
    empty = np.zeros((6, 6), int)
    result = evaluate(empty, empty, "isbi")
    assert result["v_rand"] is result["v_info"] is result["vi"] is None
    assert (result["pixel_error"], result["warping_error"]) == (0, 0)
    nothing = evaluate(0 * four_cells(), four_cells(), "isbi")
    assert (nothing["v_rand_merge"], nothing["v_info_merge"]) == pytest.approx((1, 1))
    assert nothing["v_rand_split"] == pytest.approx(56 / (2 * 16**2 + 2 * 12**2))
    assert nothing["warping_error"] == pytest.approx(4 / 72)  # one pixel of each cell is left


def test_what_is_neither_plane_nor_stack_is_refused() -> None:
    with pytest.raises(InputError, match="U113"):
        evaluate(np.ones(4, int), np.ones(4, int), "isbi")
    with pytest.raises(InputError, match="U110"):
        evaluate(np.full((4, 4), 1.5), np.ones((4, 4), int), "isbi")
