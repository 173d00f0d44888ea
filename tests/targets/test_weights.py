"""Class weights + border term = total; what is ignored weighs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings

from napari_unet.config import InputError
from napari_unet.targets.border import border_term
from napari_unet.targets.weights import weight_map
from tests.targets.label_strategies import disks, labels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    "settings", [{"w0": -1}, {"sigma": 0}, {"where": "here"}, {"spacing": (1, 2, 3)}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="U150"):
        weight_map(np.eye(4, dtype=int), **settings)
