"""Samples are what they say: reproducible, crowded, noisy, and quick to make."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label

from napari_unet.arrays.samples import SAMPLE_NDIM, SAMPLES, membranes, nuclei_3d, touching_cells

SHAPES = {
    "cells": (160, 200),
    "nuclei": (20, 80, 90),
    "membranes": (160, 200),
    "signals": (12, 300),
}


@pytest.fixture(scope="module", params=SAMPLES)
def sample(request):
    return SAMPLES[request.param], SHAPES[request.param]


def test_every_sample_says_how_many_dimensions_space_has():
    assert set(SAMPLE_NDIM) == set(SAMPLES)
    assert {key: len(SHAPES[key]) for key in SAMPLES} == {**SAMPLE_NDIM, "signals": 2}


def touching_pairs(labels):
    """Pairs of different objects in neighbouring pixels."""
    pairs = set()
    for axis in range(labels.ndim):
        a, b = np.delete(labels, -1, axis), np.delete(labels, 0, axis)
        at = (a != b) & (a > 0) & (b > 0)
        pairs |= set(zip(a[at].tolist(), b[at].tolist(), strict=True))
    return pairs


def test_a_seed_gives_one_sample_and_another_seed_another(sample):
    make, shape = sample
    first, again, other = make(shape, seed=1), make(shape, seed=1), make(shape, seed=2)
    for k in range(2):
        np.testing.assert_array_equal(first[k], again[k])
        assert (first[k] != other[k]).any()


@pytest.mark.parametrize("make", [touching_cells, nuclei_3d])
def test_objects_touch_and_are_numbered_without_gaps_each_in_one_piece(make):
    image, labels = make(SHAPES["cells" if make is touching_cells else "nuclei"])
    ids = np.unique(labels)
    assert image.dtype == np.uint16
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(ids, np.arange(len(ids)))
    assert label(labels, connectivity=1).max() == labels.max()
    assert len(touching_pairs(labels)) >= labels.max() / 3
    assert 0.1 < (labels > 0).mean() < 0.7


@pytest.mark.parametrize("make", [touching_cells, nuclei_3d])
def test_objects_shine_unequally_in_an_image_that_is_not_saturated(make):
    image, labels = make(SHAPES["cells" if make is touching_cells else "nuclei"])
    means = ndimage.mean(image, labels, np.arange(1, labels.max() + 1))
    ground = np.median(image[labels == 0])
    assert np.mean(means > 1.5 * ground) > 0.8
    assert means.std() / means.mean() > 0.15
    assert image.max() < 65535
    assert len(np.unique(image)) > 200  # photons, not paint


def test_light_fades_with_depth():
    image, labels = nuclei_3d((40, 96, 96))
    upper, lower = (
        np.percentile(part[truth > 0], 50)
        for part, truth in ((image[:12], labels[:12]), (image[-12:], labels[-12:]))
    )
    assert upper > lower


def test_membranes_are_dark_lines_between_cells():
    image, labels = membranes((256, 256))
    assert image.dtype == labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 1}
    assert 0.7 < labels.mean() < 0.92
    assert image[labels == 0].mean() < image[labels == 1].mean() - 40
    assert label(labels, connectivity=1).max() > 20  # the lines close: cells are apart


def test_any_shape_will_do():
    for make in (touching_cells, membranes):
        for shape in ((1, 1), (1, 130), (64, 7)):
            image, labels = make(shape)
            assert image.shape == labels.shape == shape
    assert nuclei_3d((1, 5, 33))[0].shape == (1, 5, 33)


def test_a_default_sample_takes_less_than_two_seconds(sample):
    make, _ = sample
    start_s = time.process_time()
    make()
    assert time.process_time() - start_s < 2
