"""The two nearest objects: exact at any distance, in any pixel, with any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

import napari_unet.targets.nearest as nearest
from napari_unet.targets.nearest import two_nearest
from tests.targets.label_strategies import disks, labels_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def by_brute_force(labels: NDArray[Any], steps: Sequence[float]) -> NDArray[np.float64]:
    """One distance transform for each object, sorted; inf where there is no such object."""
    d = np.full((2, *labels.shape), np.inf)
    every = [distance_transform_edt(labels != k, sampling=steps) for k in set(labels[labels > 0])]
    return np.sort([*every, *d], axis=0)[:2]


@given(
    labels=labels_of([0, 1, 2, 3, 2**40, -1, -(2**40)]),
    steps=st.lists(st.sampled_from([0.25, 1.0, 3.7]), min_size=3, max_size=3),
)
def test_equals_brute_force(labels: NDArray[Any], steps: list[float]) -> None:
    steps = steps[: labels.ndim]
    found = np.sqrt(two_nearest(labels, steps))
    np.testing.assert_allclose(found, by_brute_force(labels, steps), rtol=1e-6)
    assert found.dtype == np.float32


@given(labels=labels_of([0, 1, 2, 3]), reach=st.sampled_from([0.5, 1.0, 2.5]))
def test_up_to_the_reach_distances_are_exact_and_never_too_small(
    labels: NDArray[Any], reach: float
) -> None:
    found = np.sqrt(two_nearest(labels, (1.0,) * labels.ndim, reach))
    expected = by_brute_force(labels, (1.0,) * labels.ndim)
    within = expected < reach
    np.testing.assert_allclose(found[within], expected[within], rtol=1e-6)
    assert (found[~within] >= reach * (1 - 1e-6)).all()


@pytest.mark.parametrize("n_objects", [4, 40, 300])
@pytest.mark.parametrize(
    ("shape", "steps"), [((90, 70), (1, 1)), ((60, 80), (2.5, 1.1)), ((9, 40, 30), (3, 1, 1.5))]
)
def test_small_objects_are_as_exact_as_large_ones(
    shape: tuple[int, ...], steps: tuple[float, ...], n_objects: int
) -> None:
    rng = np.random.default_rng(n_objects)
    labels = np.zeros(shape, np.int32)
    labels.flat[rng.choice(labels.size, n_objects, replace=False)] = np.arange(1, n_objects + 1)
    labels = np.maximum(labels, np.roll(labels, 1, axis=-1))
    found, expected = np.sqrt(two_nearest(labels, steps)), by_brute_force(labels, steps)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(60_000,), (700, 500), (50, 90, 80)])
def test_threads_change_no_bit(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    labels, steps = disks(shape, 30, 9, 0), (2.5, 1.0, 1.1)[: len(shape)]
    shared = two_nearest(labels, steps)
    monkeypatch.setattr(nearest, "PIXELS_PER_THREAD", 2**40)
    np.testing.assert_array_equal(two_nearest(labels, steps), shared)


def test_whole_numbers_are_exact_across_a_large_image() -> None:
    labels = np.zeros((2100, 2100), np.uint8)
    labels[0, 0], labels[-1, -1] = 1, 2
    d1, d2 = two_nearest(labels, (1, 1))
    assert (d1[1000, 1000], d2[0, 0], d2[1050, 3]) == (2e6, 2 * 2099**2, 1049**2 + 2096**2)


def test_the_compiler_is_loaded_when_it_is_needed() -> None:
    code = (
        "import sys, napari_unet.targets.weights, napari_unet.cli.parser\n"
        "assert 'numba' not in sys.modules\n"
        "napari_unet.targets.weights.weight_map([1, 0, 2])\n"
        "assert 'numba' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="every folder can be written")
def test_it_works_where_nothing_can_be_kept(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    code = "import napari_unet; print(napari_unet.weight_map([1, 0, 2]).border.max())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert float(done.stdout) == pytest.approx(10 * np.exp(-(2**2) / 50))
