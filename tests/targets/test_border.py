"""The border term equals one full distance transform per object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from napari_unet.config import InputError
from napari_unet.targets.border import border_term, near_term
from tests.targets.label_strategies import disks, labels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Where = Literal["background", "everywhere"]
W0 = 10.0


def by_brute_force(
    labels: NDArray[Any], sigma: float, where: Where, spacing: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Stack one distance transform per object and sort."""
    ids = np.unique(labels[labels > 0])
    if len(ids) < 2:
        return np.zeros(labels.shape)
    d = np.sort([distance_transform_edt(labels != k, sampling=spacing) for k in ids], axis=0)
    weight = W0 * np.exp(-((d[0] + d[1]) ** 2) / (2 * sigma**2))
    return weight * (labels <= 0) if where == "background" else weight


CASES = {
    "signal": (disks((400,), 12, 9, 0), 5.0, None),
    "signal with spacing": (disks((300,), 12, 9, 0), 1.5, (0.3,)),
    "plane": (disks((120, 150), 25, 9, 1), 5.0, None),
    "wide reach": (disks((80, 90), 9, 6, 1), 40.0, None),
    "short reach": (disks((80, 90), 60, 6, 1), 0.4, None),
    "volume": (disks((20, 40, 45), 15, 7, 2), 4.0, None),
    "coarse planes": (disks((14, 50, 60), 15, 7, 3), 5.0, (2.5, 1.0, 1.0)),
    "in metres": (disks((14, 40, 50), 15, 7, 3), 1e-6, (2.9e-7, 1.1e-7, 1.3e-7)),
    "crowded": (disks((70, 70), 200, 4, 4), 5.0, None),
    "large ids": (disks((80, 80), 9, 8, 5).astype(np.int64) * 2**33, 5.0, None),
    "objects in parts": (disks((80, 80), 30, 6, 6) % 4, 5.0, None),
    "columns first": (np.asfortranarray(disks((60, 90), 9, 8, 7)), 5.0, (1.0, 2.0)),
    "other byte order": (disks((60, 60), 9, 8, 8).astype(">u2"), 5.0, None),
}


@pytest.mark.parametrize("where", ["background", "everywhere"])
@pytest.mark.parametrize("case", CASES)
def test_equals_brute_force(case: str, where: Where) -> None:
    labels, sigma, spacing = CASES[case]
    found = border_term(labels, W0, sigma, where, spacing)
    expected = by_brute_force(labels, sigma, where, spacing)
    np.testing.assert_allclose(found, expected, atol=1e-5 * W0)
    assert found.dtype == np.float32


@settings(deadline=None)
@given(
    labels=labels_of([0, 1, 2, 3, 2**40, -1]),
    sigma=st.sampled_from([0.3, 1.0, 5.0]),
    where=st.sampled_from(["background", "everywhere"]),
    spacing=st.none() | st.lists(st.sampled_from([0.25, 1.0, 3.7]), min_size=3, max_size=3),
)
def test_equals_brute_force_anywhere(
    labels: NDArray[Any], sigma: float, where: Where, spacing: list[float] | None
) -> None:
    spacing = spacing and spacing[: labels.ndim]
    found = border_term(labels, W0, sigma, where, spacing)
    expected = by_brute_force(labels, sigma, where, spacing)
    np.testing.assert_allclose(found, expected, atol=1e-5 * W0)


def test_equals_brute_force_on_real_nuclei(data: Any) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = sorted((data / "dsb2018/labels").glob("*.tif"))[0]
    labels = tifffile.imread(path)[:160, :160]
    found = border_term(labels, W0, 5.0, "everywhere")
    np.testing.assert_allclose(found, by_brute_force(labels, 5.0, "everywhere"), atol=1e-5 * W0)


def test_the_weight_of_published_distances() -> None:
    line = np.zeros(40, int)
    line[5], line[15] = 1, 2  # between them d1 + d2 = 10 everywhere
    found = border_term(line, W0, 5.0, "background")
    np.testing.assert_allclose(found[6:15], 1.35335, atol=1e-5)


@pytest.mark.parametrize("labels", [np.zeros((9, 9), int), disks((40, 40), 1, 9, 0)])
def test_fewer_than_two_objects_have_none(labels: NDArray[Any]) -> None:
    assert not border_term(labels, W0, 5.0, "everywhere").any()


def test_the_labels_are_left_alone() -> None:
    labels = disks((50, 50), 9, 6, 0)
    labels.flags.writeable = False
    border_term(labels, W0, 5.0, "background")


@pytest.mark.parametrize("case", CASES)
def test_the_near_term_is_one_distance_transform(case: str) -> None:
    labels, sigma, spacing = CASES[case]
    d1 = distance_transform_edt(labels == 0, sampling=spacing)
    found = near_term(labels > 0, sigma, spacing)
    np.testing.assert_allclose(found, np.exp(-(d1**2) / (2 * sigma**2)), atol=1e-5)
    assert found.dtype == np.float32
    assert not near_term(labels < 0, sigma, spacing).any()


@pytest.mark.parametrize(
    ("shape", "spacing", "code"),
    [((2, 2, 2, 2), None, "U113"), ((9, 9), (1.0,), "U150"), ((9, 9), (1.0, 0.0), "U150")],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], spacing: tuple[float, ...] | None, code: str
) -> None:
    with pytest.raises(InputError) as caught:
        border_term(np.ones(shape, int), W0, 5.0, "background", spacing)
    assert caught.value.code == code
