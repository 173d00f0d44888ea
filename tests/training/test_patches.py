"""Patches come from where they say, and image, truth and weights stay together."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from napari_unet.config import AugmentConfig
from napari_unet.training.augment import Source, draw_variation
from napari_unet.training.patches import draw_patches, move_in, near

STILL = AugmentConfig(
    flip=False, rotate_deg=0, scale=0, elastic_px=0, brightness=0, contrast=0, noise=0
)


MOVED = AugmentConfig(brightness=0, contrast=0, noise=0)
CPU = torch.device("cpu")


def draw_patch(source: Source, centre, sizes, config, rng) -> SimpleNamespace:
    """One patch of one image, as arrays."""
    (material,) = move_in([source], CPU)
    batch = draw_patches([(material, centre)], sizes, config, rng, CPU)
    return SimpleNamespace(**{k: v[0].numpy() for k, v in batch._asdict().items()})


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
    np.testing.assert_allclose(patch.image, made.image[(slice(None), *cut)], atol=1e-4)
    np.testing.assert_array_equal(patch.truth, made.truth[inner])
    np.testing.assert_array_equal(patch.weights, made.weights[inner])


@pytest.mark.parametrize("shape", [(60,), (40, 50), (12, 20, 24)])
def test_image_classes_and_weights_move_together(shape: tuple[int, ...]) -> None:
    made = source(shape)
    blocky = Source(made.image * 0 + 1, made.truth * 0 + 1, made.weights * 0 + 2, "even")
    size = (16,) * len(shape)
    patch = draw_patch(blocky, [5] * len(shape), (size, size), MOVED, np.random.default_rng(1))
    np.testing.assert_allclose(patch.image, 1, atol=1e-5)
    assert (patch.truth == 1).all()
    varied = draw_patch(made, [5] * len(shape), (size, size), MOVED, np.random.default_rng(1))
    np.testing.assert_array_equal(varied.weights, 1 + varied.truth)


def test_the_generator_decides_everything() -> None:
    made, size = source((40, 50)), (16, 16)
    one, two, other = (
        draw_patch(made, [20, 20], (size, size), AugmentConfig(), np.random.default_rng(seed))
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.image, two.image)
    assert not np.array_equal(one.image, other.image)


def test_mirroring_reaches_beyond_a_tiny_image() -> None:
    patch = draw_patch(
        source((3, 5)), [1, 1], ((32, 32), (32, 32)), AugmentConfig(), np.random.default_rng(0)
    )
    assert patch.image.shape == (2, 32, 32)
    assert np.isfinite(patch.image).all()


@pytest.mark.parametrize("shape", [(60,), (40, 50), (12, 20, 24)])
def test_values_move_with_the_image_and_only_the_image_varies_in_grey(shape) -> None:
    made, size = values(shape), (8,) * len(shape)
    patch = draw_patch(made, [6] * len(shape), (size, size), MOVED, np.random.default_rng(1))
    np.testing.assert_allclose(patch.truth[0], patch.image[0], atol=1e-4)
    np.testing.assert_allclose(patch.truth[1], 2 * patch.image[0], atol=1e-4)
    grey = draw_patch(
        made, [6] * len(shape), (size, size), AugmentConfig(), np.random.default_rng(1)
    )
    assert not np.allclose(grey.image, grey.truth[:1], atol=1e-2)
    assert 0 <= grey.truth[0].min() <= grey.truth[0].max() <= 1


@pytest.mark.parametrize("config", [None, STILL])
def test_values_without_variation_are_a_cut(config) -> None:
    made = values((40, 50))
    patch = draw_patch(made, [20, 25], ((10, 10), (6, 6)), config, np.random.default_rng(0))
    np.testing.assert_allclose(patch.truth, made.truth[:, 17:23, 22:28], atol=1e-4)


def test_a_value_made_of_an_unknown_one_does_not_count() -> None:
    made = values((40, 50), known=0.9)
    patch = draw_patch(made, [20, 25], ((24, 24), (24, 24)), MOVED, np.random.default_rng(2))
    known = np.isfinite(patch.truth).all(axis=0)
    assert 0 < known.mean() < 0.9
    assert not patch.weights[~known].any()
    np.testing.assert_allclose(patch.truth[0][known], patch.image[0][known], atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "centre"),
    [
        ((200,), (100,)), ((60,), (2,)), ((60,), (59,)), ((7,), (3,)), ((1,), (0,)),
        ((90, 100), (45, 50)), ((90, 100), (0, 99)), ((90, 100), (89, 1)), ((5, 300), (2, 150)),
        ((30, 40, 50), (15, 20, 25)), ((30, 40, 50), (29, 0, 49)), ((2, 40, 50), (1, 20, 25)),
    ],
)  # fmt: skip
def test_patches_are_what_scipy_reads_at_the_same_places(
    shape: tuple[int, ...], centre: tuple[int, ...]
) -> None:
    made, size = source(shape), (17,) * len(shape)
    patch = draw_patch(made, centre, (size, size), MOVED, np.random.default_rng(5))
    variation = draw_variation(1, size, MOVED, np.random.default_rng(5))
    offsets = variation.places(size, CPU)[0].numpy().astype(np.float64)
    assert (np.abs(offsets).reshape(len(size), -1).max(1) < variation.reach(size)[0]).all()
    coords = offsets + np.reshape(centre, (-1,) + (1,) * len(size))
    for channel, found in zip(made.image, patch.image, strict=True):
        expected = map_coordinates(channel, coords, order=1, mode="mirror")
        np.testing.assert_allclose(found, expected, atol=2e-4)
    nearest = map_coordinates(made.truth, np.rint(coords), order=0, mode="mirror")
    assert (patch.truth != nearest).mean() < 0.01  # float32 decides halves in another way


def test_patches_of_a_batch_are_those_of_each_image_alone() -> None:
    centres = [(3, 4), (20, 30), (39, 49)]
    made = move_in([source((40, 50), seed) for seed in range(3)], CPU)
    size = (16, 16)
    places = list(zip(made, centres, strict=True))
    batch = draw_patches(places, (size, size), STILL, np.random.default_rng(0), CPU)
    for number, place in enumerate(places):
        one = draw_patches([place], (size, size), STILL, np.random.default_rng(9), CPU)
        for together, alone in zip(batch, one, strict=True):
            assert torch.equal(together[number], alone[0])


@pytest.mark.parametrize("centre", [70, 1_500_003, 2**22 - 70])
def test_places_are_as_exact_far_from_the_origin_as_near_it(centre: int) -> None:
    image = (np.arange(2**22) % 5).astype(np.float32)[None]
    made = Source(image, image[0].astype(np.uint16), 1 + image[0], "long")
    for config in (None, STILL):
        patch = draw_patch(made, [centre], ((32,), (32,)), config, np.random.default_rng(0))
        np.testing.assert_allclose(patch.image, image[:, centre - 16 : centre + 16], atol=1e-4)
        np.testing.assert_array_equal(patch.truth, made.truth[centre - 16 : centre + 16])


def test_noise_differs_from_patch_to_patch_and_has_the_spread_that_was_drawn() -> None:
    flat = Source(np.zeros((2, 9, 9), np.float32), np.zeros((9, 9), np.uint16), np.ones((9, 9)), "")
    config = AugmentConfig(brightness=0, contrast=0, noise=0.5)
    (material,) = move_in([flat], CPU)
    size = (64, 64)
    places = [(material, (4, 4))] * 4
    image = draw_patches(places, (size, size), config, np.random.default_rng(1), CPU).image
    drawn = draw_variation(4, size, config, np.random.default_rng(1)).noise
    np.testing.assert_allclose(image.flatten(1).std(1).numpy(), drawn, rtol=0.05)
    assert len({x.sum().item() for x in image.flatten(0, 1)}) == 8


def test_patches_are_computed_on_graphics_cards_or_else_on_the_cpu() -> None:
    assert near(torch.device("cuda:1")) == torch.device("cuda:1")
    assert near(torch.device("mps")) == near(CPU) == CPU


def test_images_are_not_copied_in_the_memory_they_are_in() -> None:
    made = source((40, 50))
    (material,) = move_in([made], CPU)
    for tensor, array in zip(material, (made.image, made.truth, made.weights), strict=True):
        assert tensor.data_ptr() == array.ctypes.data
