"""What is held out is never trained on, and takes no class away."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.training.augment import Source
from napari_unet.training.holding_out import SMALLEST_HELD_OUT, hold_out


def source(shape: tuple[int, ...], seed: int = 0, *, values: bool = False) -> Source:
    rng = np.random.default_rng(seed)
    image = rng.random((1, *shape), dtype=np.float32)
    truth = np.concatenate([image, image]) if values else rng.integers(0, 2, shape, np.uint16)
    return Source(image, truth, np.ones(shape, np.float32), str(seed))


@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("count", [2, 5, 10])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_every_image_is_on_one_side(count: int, share: float, values: bool) -> None:
    sources = [source((8, 9), seed, values=values) for seed in range(count)]
    train, held, words = hold_out(sources, share, 0)
    assert sorted(s.name for s in (*train, *held)) == [str(k) for k in range(count)]
    if held:
        assert (len(held), words) == (
            max(1, round(share * count)), f"{len(held)} of {count} images are held out",
        )  # fmt: skip
    again, _, _ = hold_out(sources, share, 0)
    assert [s.name for s in again] == [s.name for s in train]


@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("shape", [(100,), (20, 100), (100, 20), (6, 90, 20)])
def test_the_only_image_is_cut_along_its_longest_axis(shape, values: bool) -> None:
    whole = source(shape, values=values)
    (train,), (held,), _ = hold_out([whole], 0.2, 0)
    axis = int(np.argmax(shape))
    assert held.weights.shape[axis] == shape[axis] // 5 >= SMALLEST_HELD_OUT
    for name in ("image", "truth", "weights"):
        parts = [getattr(part, name) for part in (train, held)]
        joined = np.concatenate(parts, axis=parts[0].ndim - len(shape) + axis)
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_a_class_is_not_taken_from_the_training_images() -> None:
    sources = [source((8, 9), seed) for seed in range(4)]
    for rare in range(4):
        marked = [
            Source(s.image, s.truth + 5 * (k == rare), s.weights, s.name)
            for k, s in enumerate(sources)
        ]
        train, _, _ = hold_out(marked, 0.3, 0)
        assert any(s.truth.max() > 1 for s in train)


def test_a_small_image_is_kept_whole() -> None:
    train, held, words = hold_out([source((20, 20))], 0.2, 0)
    assert (len(train), held) == (1, [])
    assert "too small" in words
