"""One tile: what it reads, what it returns, what it leaves behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from napari_unet.arrays.intensity import Intensity
from napari_unet.models.tiles import gate_tile, probabilities, run_tile
from napari_unet.tiling import Tile

CPU = torch.device("cpu")
TILE = Tile(read=(slice(-2, 6), slice(0, 8)), write=(slice(0, 5), slice(3, 7)))


@pytest.fixture
def identity() -> nn.Module:
    """A network that returns its image."""
    network = nn.Conv2d(1, 1, 1, bias=False).eval()
    nn.init.ones_(network.weight)
    return network


def test_a_tile_is_normalised_mirrored_and_cut(identity: nn.Module) -> None:
    image = np.random.default_rng(0).integers(0, 99, (1, 9, 9)).astype(np.uint16)
    intensity = Intensity(offset=(10.0,), scale=(4.0,), fill=(0.0,))
    logits = run_tile(identity, image, intensity, TILE, CPU)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits, (image[:, 0:5, 3:7] - np.float32(10)) / np.float32(4))


def test_no_mode_leaks(identity: nn.Module) -> None:
    image = np.zeros((1, 9, 9), np.float32)
    run_tile(identity, image, Intensity((0.0,), (1.0,), (0.0,)), TILE, CPU)
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


def test_a_network_in_training_mode_is_refused(identity: nn.Module) -> None:
    image = np.zeros((1, 9, 9), np.float32)
    with pytest.raises(ValueError, match="training mode"):
        run_tile(identity.train(), image, Intensity((0.0,), (1.0,), (0.0,)), TILE, CPU)


logits = arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(1, 3)), elements=st.floats(-1e6, 1e6)
)


@given(logits)
def test_probabilities_sum_to_one_and_keep_the_order(values: np.ndarray) -> None:
    result = probabilities(values)
    assert len(result) == max(len(values), 2)
    assert ((result >= 0) & (result <= 1)).all()
    np.testing.assert_allclose(result.sum(axis=0), 1)
    if len(values) > 1:
        best = values.argmax(axis=0)
        np.testing.assert_array_equal(np.take_along_axis(result, best[None], 0)[0], result.max(0))


@given(logits)
def test_probabilities_agree_with_torch(values: np.ndarray) -> None:
    tensor = torch.from_numpy(values)
    if len(values) == 1:
        expected = torch.cat([torch.sigmoid(-tensor), torch.sigmoid(tensor)])
    else:
        expected = tensor.softmax(0)
    np.testing.assert_allclose(probabilities(values), expected, atol=1e-15)


def test_probabilities_keep_float32() -> None:
    assert probabilities(np.zeros((1, 2), np.float32)).dtype == np.float32


def test_a_gate_tile_covers_every_pixel() -> None:
    cells = gate_tile(Tile((slice(-16, 40),), (slice(0, 21),)), [8])
    assert cells == Tile((slice(-2, 5),), (slice(0, 3),))


def test_the_cells_of_a_gate_may_be_oblong() -> None:
    tile = Tile((slice(-4, 12), slice(-16, 40)), (slice(0, 5), slice(8, 21)))
    cells = gate_tile(tile, (1, 8))
    assert cells == Tile((slice(-4, 12), slice(-2, 5)), (slice(0, 5), slice(1, 3)))
