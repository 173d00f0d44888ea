"""Patches come from where they say, and vary as they should."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.config import AugmentConfig
from napari_unet.training.augment import Source, draw_patch, elastic_field
from napari_unet.training.sampling import Sampler

STILL = AugmentConfig(
    flip=False, rotate_deg=0, scale=0, elastic_px=0, brightness=0, contrast=0, noise=0
)


def values(shape: tuple[int, ...], known: float = 1.0) -> Source:
    """Two channels of values, of which the first is the image; a share of the pixels is known."""
    rng = np.random.default_rng(0)
    image = rng.random((1, *shape), dtype=np.float32)
    truth = np.concatenate([image, 2 * image])
    weights = (rng.random(shape) < known).astype(np.float32)
    return Source(image, np.where(weights > 0, truth, np.float32(np.nan)), weights, "values")


def source(shape: tuple[int, ...], seed: int = 0) -> Source:
    """An image whose grey value and class are known functions of the place."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, shape).astype(np.uint16)
    image = np.stack([classes.astype(np.float32), rng.random(shape, dtype=np.float32)])
    return Source(image, classes, 1 + classes.astype(np.float32), "made")


@pytest.mark.parametrize("shape", [(60,), (40, 50), (12, 20, 24)])
@pytest.mark.parametrize("config", [None, STILL])
def test_without_variation_a_patch_is_a_cut(shape: tuple[int, ...], config) -> None:
    made = source(shape)
    size, core = (10,) * len(shape), (6,) * len(shape)
    centre = [n // 2 for n in shape]
    patch = draw_patch(made, centre, (size, core), config, np.random.default_rng(0))
    cut = tuple(slice(c - 5, c + 5) for c in centre)
    inner = tuple(slice(c - 3, c + 3) for c in centre)
    np.testing.assert_allclose(patch.image, made.image[(slice(None), *cut)], atol=1e-6)
    np.testing.assert_array_equal(patch.truth, made.truth[inner])
    np.testing.assert_array_equal(patch.weights, made.weights[inner])


@pytest.mark.parametrize("shape", [(60,), (40, 50), (12, 20, 24)])
def test_image_classes_and_weights_move_together(shape: tuple[int, ...]) -> None:
    made = source(shape)
    blocky = Source(made.image * 0 + 1, made.truth * 0 + 1, made.weights * 0 + 2, "even")
    size = (16,) * len(shape)
    config = AugmentConfig(brightness=0, contrast=0, noise=0)
    patch = draw_patch(blocky, [5] * len(shape), (size, size), config, np.random.default_rng(1))
    np.testing.assert_allclose(patch.image, 1, atol=1e-5)
    assert (patch.truth == 1).all()
    varied = draw_patch(made, [5] * len(shape), (size, size), config, np.random.default_rng(1))
    np.testing.assert_array_equal(varied.weights, 1 + varied.truth)


def test_the_generator_decides_everything() -> None:
    made, size = source((40, 50)), (16, 16)
    one, two, other = (
        draw_patch(made, [20, 20], (size, size), AugmentConfig(), np.random.default_rng(seed))
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.image, two.image)
    assert not np.array_equal(one.image, other.image)


def test_elastic_displacements_have_the_spread_that_was_asked() -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([elastic_field((129, 129), 10.0, rng) for _ in range(300)])
    nodes = fields[:, :, ::64, ::64]  # corners, mid-edges, centre
    assert nodes.std() == pytest.approx(10, rel=0.05)
    assert abs(nodes.mean()) < 0.5
    jumps = np.abs(np.diff(fields, axis=2)).max()
    assert jumps < 5  # smooth: neighbours move together


def test_mirroring_reaches_beyond_a_tiny_image() -> None:
    patch = draw_patch(
        source((3, 5)), [1, 1], ((32, 32), (32, 32)), AugmentConfig(), np.random.default_rng(0)
    )
    assert patch.image.shape == (2, 32, 32)
    assert np.isfinite(patch.image).all()


def test_the_sampler_finds_a_scribble() -> None:
    made = source((200, 200))
    weights = np.zeros((200, 200), np.float32)
    weights[3:9, 4:8] = 1  # 24 of 40,000 pixels
    sampler = Sampler([Source(made.image, made.truth, weights, "sparse")], ((32, 32), (32, 32)))
    rng = np.random.default_rng(0)
    assert all((sampler.draw(None, rng).weights > 0).any() for _ in range(50))


def test_rare_classes_are_seen_as_often_as_common_ones() -> None:
    classes = np.zeros((100, 100), np.uint16)
    classes[:3, :3] = 1
    made = Source(np.zeros((1, 100, 100), np.float32), classes, np.ones((100, 100), np.float32), "")
    sampler = Sampler([made], ((1, 1), (1, 1)))
    rng = np.random.default_rng(0)
    share = np.mean([sampler.draw(None, rng).truth[0, 0] for _ in range(400)])
    assert 0.15 < share < 0.35  # half of the patches are drawn by class: 0.25 expected


@pytest.mark.parametrize("shape", [(60,), (40, 50), (12, 20, 24)])
def test_values_move_with_the_image_and_only_the_image_varies_in_grey(shape) -> None:
    made, size = values(shape), (8,) * len(shape)
    moved = AugmentConfig(brightness=0, contrast=0, noise=0)
    patch = draw_patch(made, [6] * len(shape), (size, size), moved, np.random.default_rng(1))
    np.testing.assert_allclose(patch.truth[0], patch.image[0], atol=1e-6)
    np.testing.assert_allclose(patch.truth[1], 2 * patch.image[0], atol=1e-6)
    grey = draw_patch(
        made, [6] * len(shape), (size, size), AugmentConfig(), np.random.default_rng(1)
    )
    assert not np.allclose(grey.image, grey.truth[:1], atol=1e-2)
    assert 0 <= grey.truth[0].min() <= grey.truth[0].max() <= 1


@pytest.mark.parametrize("config", [None, STILL])
def test_values_without_variation_are_a_cut(config) -> None:
    made = values((40, 50))
    patch = draw_patch(made, [20, 25], ((10, 10), (6, 6)), config, np.random.default_rng(0))
    np.testing.assert_allclose(patch.truth, made.truth[:, 17:23, 22:28], atol=1e-6)


def test_a_value_made_of_an_unknown_one_does_not_count() -> None:
    made = values((40, 50), known=0.9)
    moved = AugmentConfig(brightness=0, contrast=0, noise=0)
    patch = draw_patch(made, [20, 25], ((24, 24), (24, 24)), moved, np.random.default_rng(2))
    known = np.isfinite(patch.truth).all(axis=0)
    assert 0 < known.mean() < 0.9
    assert not patch.weights[~known].any()
    np.testing.assert_allclose(patch.truth[0][known], patch.image[0][known], atol=1e-6)


def test_small_volumes_are_deformed_less() -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([elastic_field((5, 37, 129), 10.0, rng) for _ in range(50)])
    spreads = fields[:, :, ::2, ::18, ::64].std(axis=(0, 2, 3, 4))
    np.testing.assert_allclose(spreads, (5 / 12, 37 / 12, 10), rtol=0.1)


def test_the_share_that_is_drawn_by_class_can_be_chosen() -> None:
    classes = np.zeros((100, 100), np.uint16)
    classes[:3, :3] = 1
    made = Source(np.zeros((1, 100, 100), np.float32), classes, np.ones((100, 100), np.float32), "")
    for share in (0.0, 1.0):
        sampler = Sampler([made], ((1, 1), (1, 1)), share)
        rng = np.random.default_rng(0)
        rare = np.mean([sampler.draw(None, rng).truth[0, 0] for _ in range(400)])
        assert rare == pytest.approx(share / 2, abs=0.07)


def test_values_are_drawn_where_they_are_known() -> None:
    made = values((60, 60), known=0.02)
    sampler = Sampler([made], ((1, 1), (1, 1)))
    rng = np.random.default_rng(0)
    assert all(sampler.draw(None, rng).weights.all() for _ in range(50))
