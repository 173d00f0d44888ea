"""Class weights + border term = total; what is ignored weighs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from napari_unet.config import FORMULAS, InputError, WeightConfig
from napari_unet.targets.border import border_term
from napari_unet.targets.weights import weigh, weigh_border, weight_map
from tests.targets.label_strategies import disks, labels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FALK: dict[str, Any] = {"formula": "falk2019", **FORMULAS["falk2019"]}


@settings(deadline=None)
@given(labels_of([0, 1, 2, 255]))
def test_laws_of_the_map(labels: NDArray[Any]) -> None:
    weights = weight_map(labels, ignore=255)
    ignored = labels == 255
    for part in (weights.classes, weights.border, weights.total):
        assert part.shape == labels.shape
        assert part.dtype == np.float32
        assert not part[ignored].any()
    np.testing.assert_allclose(weights.total, weights.classes + weights.border)
    if not ignored.all():
        np.testing.assert_allclose(weights.classes[~ignored].mean(), 1, rtol=1e-5)


def test_objects_and_background_weigh_the_same() -> None:
    labels = disks((90, 90), 5, 9, 0)
    weights = weight_map(labels).classes
    np.testing.assert_allclose(weights[labels > 0].sum(), weights[labels == 0].sum(), rtol=1e-4)


def test_an_ignored_object_does_not_squeeze() -> None:
    labels = np.array([0, 7, 0, 0, 9, 0])
    assert weight_map(labels).border.any()
    assert not weight_map(labels, ignore=9).border.any()


def test_the_border_term_is_the_border_term() -> None:
    labels = disks((60, 60), 9, 6, 0)
    found = weight_map(labels, 3, 2, "everywhere", [1, 2]).border
    np.testing.assert_array_equal(found, border_term(labels, 3, 2, "everywhere", (1, 2)))


@pytest.mark.parametrize(
    "settings",
    [
        {"w0": -1},
        {"sigma": 0},
        {"where": "here"},
        {"spacing": (1, 2, 3)},
        {"formula": "paper"},
        {"ratio": 2},
        {"sigma_near": 0},
        {"spacing": (1, 2, 3), **FALK},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="U150"):
        weight_map(np.eye(4, dtype=int), **settings)


@pytest.mark.parametrize(
    ("line", "at", "expected"),
    [
        ([1, 0, 2], 1, 48.2935),  # d1 = d2 = 1
        ([1, 0, 0, 2], 1, 45.1204),
        ([1, *[0] * 9, 2], 5, 13.3619),
        ([1, *[0] * 40], 3, 0.9604),
        ([1, *[0] * 40], 10, 0.64588),
        ([1, *[0] * 40], 30, 0.1100),
    ],
)
def test_published_weights_of_2019(line: list[int], at: int, expected: float) -> None:
    weights = weight_map(np.array(line), **FALK)
    assert weights.total[at] == pytest.approx(expected, abs=5e-5)
    assert (weights.classes[at], weights.classes[0]) == (np.float32(0.1), 1)
    assert weights.border[0] == 0


def falk_by_brute_force(
    labels: NDArray[Any], spacing: Sequence[float] | None, sigma: float, near: float
) -> NDArray[np.float64]:
    """One distance transform for each object of one class, w0 = 50, r = 0.1."""
    ids = np.unique(labels[labels > 0])
    if not len(ids):
        return np.zeros(labels.shape)
    d = np.sort([distance_transform_edt(labels != k, sampling=spacing) for k in ids], axis=0)
    seams = 50 * np.exp(-((d[0] + d[1]) ** 2) / (2 * sigma**2)) if len(ids) > 1 else 0
    return (seams + 0.9 * np.exp(-(d[0] ** 2) / (2 * near**2))) * (labels == 0)


@settings(deadline=None)
@given(
    labels=labels_of([0, 1, 2, 255]),
    near=st.sampled_from([0.5, 10.0, 40.0]),
    spacing=st.none() | st.lists(st.sampled_from([0.25, 1.0, 3.7]), min_size=3, max_size=3),
)
def test_falk_equals_brute_force(
    labels: NDArray[Any], near: float, spacing: list[float] | None
) -> None:
    spacing = spacing and spacing[: labels.ndim]
    found = weight_map(labels, spacing=spacing, ignore=255, **FALK | {"sigma_near": near})
    objects = np.where(labels == 255, 0, labels)
    around = falk_by_brute_force(objects, spacing, 6, near)
    around[labels == 255] = 0
    np.testing.assert_allclose(found.border, around, atol=1e-3)
    alone = np.where(labels == 255, 0, np.where(labels > 0, 1, 0.1))
    np.testing.assert_allclose(found.classes, alone, rtol=1e-6)
    np.testing.assert_array_equal(found.total, found.classes + found.border)


def test_falk_is_right_far_from_any_object() -> None:
    labels = np.zeros((3, 400), int)
    labels[:, 0] = 1
    total = weight_map(labels, **FALK | {"sigma_near": 100}).total
    d1 = np.arange(1, 400)
    expected = 0.1 + 0.9 * np.exp(-(d1**2) / (2 * 100**2))
    np.testing.assert_allclose(total[1, 1:], expected, rtol=1e-5)


def test_falk_sums_over_classes() -> None:
    objects = disks((60, 60), 14, 6, 3)
    classes = np.where(objects > 0, 1 + objects % 2, 0)
    config = WeightConfig(**FALK, balance_classes=True)
    labelled = np.ones(objects.shape, bool)
    border = weigh_border(classes, objects, labelled, config)
    found = weigh(classes, border, labelled, np.array([3.0, 4.0, 5.0]), config)
    expected = sum(
        falk_by_brute_force(np.where(classes == k, objects, 0), None, 6, 10) for k in (1, 2)
    )
    np.testing.assert_allclose(found.border, np.where(objects > 0, 0, expected), atol=1e-3)
    assert set(np.unique(found.classes).tolist()) == {np.float32(0.1), 1}
