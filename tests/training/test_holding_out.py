"""What is held out is never trained on nor seen from there, and takes no class away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter

import napari_unet
from napari_unet.config import TrainConfig
from napari_unet.events import Prepared, Stepped
from napari_unet.library.folders import read_card
from napari_unet.library.split import HeldBox
from napari_unet.tiling import Geometry
from napari_unet.training.augment import Source
from napari_unet.training.holding_out import NOTHING, TOO_LITTLE, hold_out

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = {1: (120,), 2: (40, 50), 3: (12, 20, 18)}


def geometry(margin: int, ndim: int) -> Geometry:
    return Geometry((4,) * ndim, (margin,) * ndim, (0,) * ndim, (4,) * ndim)


def asked(**changes: object) -> TrainConfig:
    return TrainConfig.from_recipe("quick", **{"epochs": 1, **changes})


def source(
    shape: tuple[int, ...], seed: int = 0, *, values: bool = False, pair: int | None = None
) -> Source:
    rng = np.random.default_rng(seed)
    image = rng.random((1, *shape), dtype=np.float32)
    truth = np.concatenate([image, image]) if values else rng.integers(0, 2, shape, np.uint16)
    weights = np.ones(shape, np.float32)
    return Source(image, truth, weights, str(seed), pair=seed if pair is None else pair)


def scribbled(shape: tuple[int, ...], seed: int) -> Source:
    """Draw a few boxes of three classes into an image that else is not labelled."""
    rng = np.random.default_rng(seed)
    whole = source(shape, seed)
    truth, weights = np.zeros(shape, np.uint16), np.zeros(shape, np.float32)
    for k in range(rng.integers(1, 7)):
        start = [int(rng.integers(n)) for n in shape]
        box = tuple(
            slice(a, a + int(rng.integers(2, n))) for a, n in zip(start, shape, strict=True)
        )
        truth[box], weights[box] = k % 3, 1 + k
    return Source(whole.image, truth, weights, "scribbled")


def classes(sources: object) -> set[int]:
    return {int(v) for s in sources for v in np.unique(s.truth[s.weights > 0])}  # type: ignore[attr-defined]


def laid_back(held: Source, like: Source) -> np.ndarray:
    """Lay the weights of a window over the image that it is a part of."""
    whole = np.zeros_like(like.weights)
    whole[tuple(slice(a, a + n) for a, n in zip(held.start, held.weights.shape, strict=True))] = (
        held.weights
    )
    return whole


@given(
    st.sampled_from([1, 2, 3]),
    st.integers(0, 24),
    st.sampled_from([0.1, 0.2, 0.5]),
    st.integers(0, 2**16),
)
@settings(deadline=None, max_examples=60)
def test_nothing_that_is_learned_sees_what_is_scored(ndim, margin, share, seed) -> None:
    whole = scribbled(SHAPES[ndim], seed)
    split = hold_out([whole], asked(validation=share, seed=seed), geometry(margin, ndim))
    (train,) = split.train
    assert classes([train]) == classes([whole])
    scored = np.zeros_like(whole.weights)
    for held in split.validation:
        part = laid_back(held, whole)
        assert not (scored * part).any()
        scored += part
    np.testing.assert_array_equal(scored[scored > 0], whole.weights[scored > 0])
    if not split.validation:
        assert split.card.words == TOO_LITTLE
        return
    (gap,) = {box.gap for box in split.card.boxes}
    near = maximum_filter(scored > 0, [2 * g + 1 for g in gap], mode="constant")
    assert not train.weights[near].any()
    labelled = np.count_nonzero(whole.weights)
    assert np.count_nonzero(train.weights) >= min(0.5, 2 / 3 * (1 - share)) * labelled
    assert all(g <= margin for g in gap)
    assert ("instead of" in split.card.words) == (gap != (margin,) * ndim)
    again = hold_out([whole], asked(validation=share, seed=seed), geometry(margin, ndim))
    assert again.card == split.card


@given(st.sampled_from([1, 2, 3]), st.integers(0, 2**16))
@settings(deadline=None, max_examples=30)
def test_a_window_shows_the_image_around_what_is_scored(ndim, seed) -> None:
    whole = scribbled(SHAPES[ndim], seed)
    made = geometry(4, ndim)
    split = hold_out([whole], asked(), made)
    for held in split.validation:
        window = tuple(slice(a, a + n) for a, n in zip(held.start, held.weights.shape, strict=True))
        np.testing.assert_array_equal(held.image, whole.image[(slice(None), *window)])
        np.testing.assert_array_equal(held.truth, whole.truth[window])
        assert all(a % step == 0 for a, step in zip(held.start, made.step, strict=True))
        for axis, places in enumerate(np.nonzero(held.weights)):
            stop = held.start[axis] + held.weights.shape[axis]
            assert places.min() >= 4 or held.start[axis] == 0
            assert places.max() < held.weights.shape[axis] - 4 or stop == SHAPES[ndim][axis]


@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("shape", [(100,), (20, 100), (100, 20), (6, 90, 20)])
def test_the_only_image_gives_a_block_of_its_size(shape, values: bool) -> None:
    whole = source(shape, values=values)
    split = hold_out([whole], asked(), geometry(8, len(shape)))
    (train,), (held,) = split.train, split.validation
    scored = laid_back(held, whole) > 0
    assert scored.mean() == pytest.approx(0.2, abs=0.04)
    assert (train.weights > 0).mean() == pytest.approx(
        0.8 - (8 / max(shape) if len(shape) < 3 else 8 / 90), abs=0.04
    )


def test_scribbles_in_a_corner_are_parted_in_that_corner() -> None:
    whole = source((400, 400))
    weights = np.zeros((400, 400), np.float32)
    weights[10:40, 20:80] = 1
    split = hold_out([Source(whole.image, whole.truth, weights, "")], asked(), geometry(12, 2))
    (box,) = split.card.boxes
    assert (box.start >= (10, 20), box.stop <= (40, 80), box.gap) == (True, True, (12, 12))
    (held,) = split.validation
    assert np.count_nonzero(held.weights) == pytest.approx(0.2 * weights.sum(), rel=0.1)
    assert max(held.weights.shape) < 100  # context, not the whole image


def test_each_class_is_in_both_where_one_block_has_not_all() -> None:
    truth, weights = np.zeros((200, 200), np.uint16), np.zeros((200, 200), np.float32)
    weights[5:10, 5:55] = weights[150:155, 115:190] = 1
    truth[150:155] = 1
    image = np.zeros((1, 200, 200), np.float32)
    split = hold_out([Source(image, truth, weights, "")], asked(), geometry(8, 2))
    assert classes(split.train) == classes(split.validation) == {0, 1}
    assert len(split.card.boxes) == 2


def test_the_gap_shrinks_with_a_word_where_the_image_is_small() -> None:
    split = hold_out([source((64, 64))], asked(), geometry(96, 2))
    (box,) = split.card.boxes
    assert 0 < box.gap[0] < 96
    assert f"{box.gap[0]} pixels instead of 96" in split.card.words


@pytest.mark.parametrize("labelled", [1, 3, 20])
def test_where_too_little_is_labelled_nothing_is_held_out(labelled: int) -> None:
    weights = np.zeros((30, 30), np.float32)
    weights[4, :labelled] = 1
    made = source((30, 30))
    split = hold_out([Source(made.image, made.truth, weights, "")], asked(), geometry(8, 2))
    assert (split.validation, split.card.words) == ((), TOO_LITTLE)


@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("count", [2, 5, 10])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_every_image_is_on_one_side(count: int, share: float, values: bool) -> None:
    sources = [source((8, 9), seed, values=values) for seed in range(count)]
    config = asked(validation=share)
    split = hold_out(sources, config, geometry(8, 2))
    names = [s.name for s in (*split.train, *split.validation)]
    assert sorted(names) == [str(k) for k in range(count)]
    n = min(max(1, round(share * count)), count - 1)
    assert len(split.validation) == n
    assert split.card.words == f"{n} of {count} images are held out"
    assert hold_out(sources, config, geometry(8, 2)).card == split.card


@given(st.integers(0, 2**16), st.integers(3, 12))
@settings(deadline=None, max_examples=20)
def test_planes_of_a_stack_are_held_out_side_by_side(seed: int, count: int) -> None:
    planes = [source((8, 9), k, pair=0) for k in range(count)]
    planes = [Source(p.image, p.truth, p.weights, p.name, 0, (k,)) for k, p in enumerate(planes)]
    split = hold_out(planes, asked(validation=0.4, seed=seed), geometry(8, 2))
    held = sorted(s.lead[0] for s in split.validation)
    assert len(held) == round(0.4 * count)
    steps = np.diff([*held, held[0] + count])  # round the end of the stack
    assert np.count_nonzero(steps > 1) == 1


def test_a_class_is_not_taken_from_the_training_images() -> None:
    sources = [source((8, 9), seed) for seed in range(4)]
    for rare in range(4):
        marked = [
            Source(s.image, s.truth + 5 * (k == rare), s.weights, s.name, pair=k)
            for k, s in enumerate(sources)
        ]
        split = hold_out(marked, asked(validation=0.3), geometry(8, 2))
        assert any(s.truth.max() > 1 for s in split.train)
        assert split.validation


def test_an_image_with_nearly_all_labels_is_learned() -> None:
    few, many = source((40, 40), 0), source((40, 40), 1)
    few.weights[4:] = 0
    for seed in range(8):
        split = hold_out([few, many], asked(seed=seed), geometry(8, 2))
        assert [s.name for s in split.train] == ["1"]


def test_images_that_all_are_needed_give_a_block_each() -> None:
    sources = [source((60, 60), seed) for seed in range(2)]
    sources = [
        Source(s.image, s.truth * (k + 1), s.weights, s.name, pair=k) for k, s in enumerate(sources)
    ]
    split = hold_out(sources, asked(), geometry(8, 2))
    assert classes(split.train) == classes(split.validation) == {0, 1, 2}
    assert [box.pair for box in split.card.boxes] == [0, 1]


def test_nothing_is_held_out_when_asked() -> None:
    split = hold_out([source((40, 40))], asked(validation=0), geometry(8, 2))
    assert (split.validation, split.card.boxes, split.card.words) == ((), (), NOTHING)


def test_the_boxes_say_where_the_pixels_are() -> None:
    split = hold_out([source((40, 50))], asked(), geometry(4, 2))
    (held,), (box,) = split.validation, split.card.boxes
    assert isinstance(box, HeldBox)
    whole = laid_back(held, source((40, 50)))
    expected = np.zeros((40, 50), bool)
    expected[box.window] = True
    np.testing.assert_array_equal(whole > 0, expected)


def pairs_of(*values: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Noise with a square of each value, each at another place: an image for each."""
    rng = np.random.default_rng(0)
    pairs = []
    for k, value in enumerate(values):
        labels = np.zeros((64, 64), np.uint8)
        labels[4 + 6 * k : 36 + 6 * k, 4 : 36 + k] = value
        pairs.append((rng.normal(labels, 0.3).astype(np.float32), labels))
    return pairs


def held(card: dict) -> dict[tuple, int]:
    """The pair of each box, by the image and the pixels that it holds out."""
    boxes = card["boxes"]
    return {(b["image"], tuple(b["start"]), tuple(b["stop"])): b["pair"] for b in boxes}


@pytest.mark.parametrize("resume", [True, False], ids=["resumed", "fine-tuned"])
@pytest.mark.parametrize("values", [(1, 1, 1, 1, 1), (1, 2)], ids=["whole images", "blocks"])
def test_what_was_held_out_stays_so_in_whatever_order_the_images_come(
    tmp_path: Path, values: tuple[int, ...], resume: bool
) -> None:
    small = {"model": {"base": 2, "depth": 1}, "patch": 16, "steps_per_epoch": 2, "threads": 1}
    labels = {"kind": "classes", "zero": "background" if len(values) > 2 else "unlabelled"}
    config, pairs = asked(labels=labels, **small), pairs_of(*values)
    stream = napari_unet.train(config, pairs, tmp_path / "first")
    for event in stream:
        if isinstance(event, Stepped):
            break
    stream.close()
    before = read_card(tmp_path / "first").training["split"]
    if resume:
        how, out = {"resume": True}, tmp_path / "first"
    else:
        how, out = {"parent": tmp_path / "first"}, tmp_path / "tuned"
        config = config.model_copy(update={"seed": 3})
    events = list(napari_unet.train(config, [*pairs[1:], pairs[0]], out, **how))
    after = read_card(out).training["split"]
    assert [e.split for e in events if isinstance(e, Prepared)] == [after]
    assert all(image for image, _, _ in held(before))
    assert held(after) == {box: (pair - 1) % len(pairs) for box, pair in held(before).items()}
    assert {b["stop"] == [64, 64] for b in before["boxes"]} == {len(values) > 2}
