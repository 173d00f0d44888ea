"""The same tissue at another brightness gives the same network input."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.arrays.axes import name_axes, views
from napari_unet.arrays.intensity import (
    SAMPLE_SIZE,
    _plan_sample,
    choose_normalisation,
    measure_intensity,
)
from napari_unet.config import InputError
from tests.arrays.spies import Spy

RULES = ["percentile", "zscore", "none"]


def normalise(image, how):
    return measure_intensity(image, how).apply(np.asarray(image, np.float32))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).gamma(2.0, 100.0, shape)


def test_percentiles_become_zero_and_one():
    low, high = np.percentile(normalise(noise(1, 90, 80), "percentile"), (1, 99.8))
    np.testing.assert_allclose((low, high), (0, 1), atol=1e-5)


def test_zscore_has_mean_zero_and_spread_one():
    result = normalise(noise(1, 90, 80), "zscore").astype(float)
    np.testing.assert_allclose((result.mean(), result.std()), (0, 1), atol=1e-5)


def test_none_changes_nothing():
    image = noise(2, 30, 30).astype(np.float32)
    np.testing.assert_array_equal(normalise(image, "none"), image)


@given(st.sampled_from(["percentile", "zscore"]), st.floats(-6, 6), st.floats(-2, 2))
@settings(max_examples=40, deadline=None)
def test_brightness_and_contrast_do_not_matter(how, exponent, shift):
    image = noise(1, 40, 50)
    scale = 10.0**exponent
    other = scale * (image + shift * image.std())
    np.testing.assert_allclose(normalise(other, how), normalise(image, how), atol=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e30])
def test_any_range_of_floats_works(scale):
    expected = normalise(noise(1, 40, 50), "percentile")
    np.testing.assert_allclose(
        normalise(noise(1, 40, 50) * scale, "percentile"), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("how", RULES)
@pytest.mark.parametrize("dtype", ["u1", ">u2", "u4", "u8", "i2", "f2", ">f4", "f8", "longdouble"])
def test_lossless_casts_do_not_matter(dtype, how):
    image = np.clip(noise(1, 40, 50), 0, 127).astype(np.uint8)
    assert measure_intensity(image.astype(dtype), how).scale == measure_intensity(image, how).scale
    np.testing.assert_array_equal(normalise(image.astype(dtype), how), normalise(image, how))


def test_channels_are_measured_apart():
    image = np.concatenate([noise(1, 40, 50), 1000 + noise(1, 40, 50, seed=1)])
    both = measure_intensity(image, "percentile")
    for channel in range(2):
        alone = measure_intensity(image[channel : channel + 1], "percentile")
        assert (alone.offset[0], alone.scale[0]) == (both.offset[channel], both.scale[channel])


@pytest.mark.parametrize("how", RULES)
def test_pixels_that_are_not_finite_count_nowhere_and_become_the_median(how):
    image = noise(1, 60, 60).astype(np.float32)
    holes = np.random.default_rng(1).random(image.shape) < 0.2
    broken = np.where(
        holes, np.random.default_rng(2).choice([np.nan, np.inf, -np.inf], image.shape), image
    )
    intensity = measure_intensity(broken, how)
    result = intensity.apply(broken.astype(np.float32))
    median = (np.median(image[~holes]) - intensity.offset[0]) / intensity.scale[0]
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result[holes], median, rtol=1e-5)
    if how == "percentile":
        low, high = np.percentile(image[~holes], (1, 99.8))
        np.testing.assert_allclose(intensity.offset, low)
        np.testing.assert_allclose(intensity.scale, high - low, rtol=1e-6)


@pytest.mark.parametrize("how", ["percentile", "zscore"])
@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_constant_image_is_only_shifted(how, value):
    image = np.full((1, 20, 20), value, np.uint16)
    assert measure_intensity(image, how).scale == (1.0,)
    assert not normalise(image, how).any()


def test_few_bright_spots_on_an_even_ground_keep_their_contrast():
    image = np.full((1, 100, 100), 5.0)
    image[0, 50, 50] = 905.0
    assert measure_intensity(image, "percentile").scale == (900.0,)


@pytest.mark.parametrize("how", RULES)
def test_no_finite_pixel_is_refused(how):
    image = np.stack([np.zeros((5, 5)), np.full((5, 5), np.nan)])
    with pytest.raises(InputError, match="U114: channel 1"):
        measure_intensity(image, how)


@pytest.mark.parametrize("how", RULES)
def test_the_result_is_finite_whatever_comes(how):
    image = np.float32([[0, 1, 2, 3, np.nan, np.inf, -3.4e38, 3.4e38]]).repeat(50, axis=1)
    assert np.isfinite(normalise(image, how)).all()
    tiny = np.float32([[0, 1e-45, 0, 1e-45]])
    assert np.isfinite(normalise(tiny, how)).all()


def test_lazy_and_eager_images_measure_alike():
    image = noise(2, 300, 200).astype(np.float32)
    stored = zarr.create_array(store={}, data=image, chunks=(1, 64, 64))
    expected = measure_intensity(image, "percentile")
    for lazy in (stored, da.from_array(image, chunks=100)):
        (view,) = views(name_axes(lazy, "CYX", ndim=2), 2)
        assert measure_intensity(view, "percentile") == expected


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_the_sample_is_bounded_for_any_shape(shape):
    windows = _plan_sample(tuple(shape))
    counts = [np.prod([w.stop - w.start for w in window]) for window in windows]
    whole = np.prod([float(n) for n in shape])
    assert sum(counts) <= min(whole, 1.01 * SAMPLE_SIZE)
    assert sum(counts) >= min(whole, SAMPLE_SIZE / 4)
    assert all(
        0 <= w.start < w.stop <= n for window in windows for w, n in zip(window, shape, strict=True)
    )
    corners = {tuple(w.start for w in window) for window in windows}
    assert len(corners) == len(windows)


def test_a_huge_lazy_image_is_sampled_in_small_reads():
    spy = Spy(np.broadcast_to(np.arange(100_000, dtype=np.uint32), (1, 10_000, 100_000)))
    intensity = measure_intensity(spy, "percentile")
    assert sum(np.prod(read) for read in spy.reads) <= SAMPLE_SIZE
    assert max(np.prod(read) for read in spy.reads) <= 64 * 64
    np.testing.assert_allclose(intensity.offset, 1_000, atol=1_000)
    np.testing.assert_allclose(intensity.scale, 98_800, rtol=0.02)


def test_integers_as_they_are_need_no_reading():
    spy = Spy(np.zeros((1, 9, 9), np.uint16))
    measure_intensity(spy, "none")
    assert not spy.reads


def sparse(*shape, seed=0):
    """An even ground with one pixel in twenty ten spreads brighter."""
    rng = np.random.default_rng(seed)
    return rng.normal(100, 1, shape) + 10 * (rng.random(shape) < 0.05)


def even(*shape, seed=0):
    return np.random.default_rng(seed).normal(100, 1, shape)


@pytest.mark.parametrize("scale", [1e-3, 1, 1e4])
@pytest.mark.parametrize("shape", [(1, 4000), (1, 90, 80), (2, 10, 30, 30)])
def test_heavy_tails_are_normalised_by_percentiles(shape, scale):
    assert choose_normalisation([scale * sparse(*shape)]) == "percentile"
    assert choose_normalisation([scale * even(*shape) + 7]) == "zscore"


def test_the_choice_is_that_of_most_channels():
    images = [even(1, 60, 60, seed=k) for k in range(3)]
    assert choose_normalisation([*images, sparse(1, 60, 60)]) == "zscore"
    assert choose_normalisation([images[0], *(sparse(1, 60, 60, seed=k) for k in (1, 2))]) == (
        "percentile"
    )
    assert choose_normalisation([np.full((1, 60, 60), 7.0)]) == "percentile"  # it has no spread
