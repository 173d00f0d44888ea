"""Patches vary as they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.config import AugmentConfig
from napari_unet.training.augment import draw_nodes, draw_variation, elastic_field

CPU = torch.device("cpu")


def field(count: int, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Displacements with a spread of 10 pixels."""
    return elastic_field(draw_nodes(count, size, 10.0, rng), size, CPU).numpy()


def test_elastic_displacements_have_the_spread_that_was_asked() -> None:
    rng = np.random.default_rng(0)
    fields = field(300, (129, 129), rng)
    nodes = fields[:, :, ::64, ::64]  # corners, mid-edges, centre
    assert nodes.std() == pytest.approx(10, rel=0.05)
    assert abs(nodes.mean()) < 0.5
    jumps = np.abs(np.diff(fields, axis=2)).max()
    assert jumps < 5  # smooth: neighbours move together


def test_small_volumes_are_deformed_less() -> None:
    rng = np.random.default_rng(0)
    fields = field(50, (5, 37, 129), rng)
    spreads = fields[:, :, ::2, ::18, ::64].std(axis=(0, 2, 3, 4))
    np.testing.assert_allclose(spreads, (5 / 12, 37 / 12, 10), rtol=0.1)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_flips_and_rotations_keep_distances_and_zooms_scale_them_all(ndim: int) -> None:
    config = AugmentConfig(elastic_px=0, scale=0.3)
    matrices = draw_variation(200, (9,) * ndim, config, np.random.default_rng(0)).matrices
    squares = matrices @ matrices.transpose(0, 2, 1)
    zooms = squares[:, 0, 0]
    np.testing.assert_allclose(squares, zooms[:, None, None] * np.eye(ndim), atol=1e-12)
    assert 0.7**2 <= zooms.min() < 0.8**2 < 1.2**2 < zooms.max() <= 1.3**2
    flipped = np.linalg.det(matrices) < 0
    assert 0.4 < flipped.mean() < 0.6


def test_grey_values_vary_within_their_bounds() -> None:
    config = AugmentConfig(contrast=0.25, brightness=0.1, noise=0)
    drawn = draw_variation(500, (4, 4), config, np.random.default_rng(0))
    zero, one = (drawn.vary_grey(torch.full((500, 1, 4, 4), x))[:, 0, 0, 0] for x in (0.0, 1.0))
    for found, low, high in ((zero, -0.1, 0.1), (one - zero, 0.75, 1.25)):
        assert low - 1e-6 <= found.min() < low + 0.01
        assert high - 0.01 < found.max() <= high + 1e-6
