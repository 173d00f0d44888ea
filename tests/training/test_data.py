"""What a run learns from is checked, normalised, weighted and split as promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.arrays.axes import Picture
from napari_unet.config import InputError, TrainConfig
from napari_unet.library.split import follow_images
from napari_unet.targets.kept import kept_folder
from napari_unet.training.data import load_data
from napari_unet.training.sampling import Sampler

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.training.augment import Source


def settings(**changes: object) -> TrainConfig:
    return TrainConfig.from_recipe("quick", **{"epochs": 1, **changes})


def pair(shape: tuple[int, ...] = (40, 50), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    labels[..., 2:9, 3:12] = 1
    labels[..., 20:30, 20:40] = 2
    return rng.normal(100, 10, shape) + 50 * (labels > 0), labels


def test_held_out_images_are_others() -> None:
    data = load_data(settings(), [pair(seed=k) for k in range(10)])
    assert (len(data.train), len(data.validation)) == (8, 2)
    held = {v.image.tobytes() for v in data.validation}
    assert not held & {t.image.tobytes() for t in data.train}


def test_a_single_image_is_cut_in_two() -> None:
    data = load_data(settings(), [pair((40, 100))])
    (train,), (held,) = data.train, data.validation
    (box,) = data.split.boxes
    assert not train.weights[box.window].any()
    assert np.count_nonzero(held.weights) == 40 * 20
    assert (box.pair, box.lead, len(box.image)) == (0, (), 64)


def test_nothing_is_held_out_when_asked() -> None:
    data = load_data(settings(validation=0), [pair(), pair(seed=1)])
    assert (len(data.train), len(data.validation)) == (2, 0)


def test_a_stack_is_learned_plane_by_plane_or_as_a_volume() -> None:
    planes = load_data(settings(), [pair((6, 40, 50))])
    volume = load_data(settings(model={"ndim": 3}, validation=0), [pair((6, 40, 50))])
    assert len(planes.train) + len(planes.validation) == 6
    assert volume.train[0].image.shape == (1, 6, 40, 50)


@pytest.mark.parametrize("place", ["first", "last"])
def test_channels_are_found_where_the_labels_leave_room(place: str) -> None:
    image, labels = pair()
    stacked = np.stack([image, image, image], axis=0 if place == "first" else -1)
    data = load_data(settings(validation=0), [(stacked, labels)])
    assert data.channels == 3
    assert data.train[0].image.shape == (3, 40, 50)


def test_pixels_that_are_not_finite_are_ignored() -> None:
    image, labels = pair()
    image[:5] = np.nan
    data = load_data(settings(validation=0), [(image, labels)])
    assert np.isfinite(data.train[0].image).all()
    assert not data.train[0].weights[:5].any()
    assert data.train[0].weights[5:].all()


def test_weights_are_balanced_over_the_whole_set() -> None:
    config = settings(weights={"w0": 0, "balance_classes": True})
    data = load_data(config, [pair(seed=k) for k in range(5)])
    sources = [*data.train, *data.validation]
    by_class = [sum(s.weights[s.truth == k].sum() for s in sources) for k in (0, 1)]
    assert by_class[0] == pytest.approx(by_class[1], rel=1e-3)
    assert np.mean([s.weights.mean() for s in sources]) == pytest.approx(1, rel=1e-3)


def test_labels_that_were_read_before_give_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_UNET_HOME", str(tmp_path))
    pairs = [pair(seed=k) for k in range(4)]
    first = load_data(settings(), pairs)
    kept = sorted(kept_folder().iterdir())
    again = load_data(settings(), pairs[::-1])
    assert len(kept) == 1  # all of the same labels
    assert sorted(kept_folder().iterdir()) == kept
    for a, b in zip(first.train, again.train, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
        np.testing.assert_array_equal(a.truth, b.truth)
        assert a.truth.dtype == b.truth.dtype


def test_grey_values_do_not_depend_on_their_scale() -> None:
    image, labels = pair()
    one, other = (
        load_data(settings(validation=0), [(scaled, labels)]).train[0].image
        for scaled in (image, 1000 * image + 7)
    )
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i, k: (i[:-1], k), "U102.*40x50.*39x50"),
        (lambda i, k: (i.T, k), "U102.*swapped"),
        (lambda i, k: (i, k * 0), "U105|U106"),
        (lambda i, k: (i, k.astype(float) + 0.5), "U110"),
        (lambda i, k: (i, k - 1), "U109"),
        (lambda i, k: (i * np.nan, k), "U114"),
        (lambda i, k: (i[:0], k[:0]), "U112"),
    ],
)
def test_what_cannot_be_used_is_told(change, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_data(settings(), [change(*pair())])


def test_the_ignored_value_may_be_negative() -> None:
    image, labels = pair()
    labels[-5:] = -1
    data = load_data(settings(validation=0, labels={"ignore": -1}), [(image, labels)])
    assert not data.train[0].weights[-5:].any()
    assert data.train[0].weights[:-5].all()


def test_no_pairs_are_told() -> None:
    with pytest.raises(InputError, match="U101"):
        load_data(settings(), [])


def test_images_of_different_channels_are_told() -> None:
    image, labels = pair()
    with pytest.raises(InputError, match="U119"):
        load_data(settings(), [(image, labels), (np.stack([image] * 3, axis=-1), labels)])


@pytest.mark.parametrize(
    "dtype", ["u1", "u2", ">u2", "u4", "u8", "i2", "f2", "f4", ">f4", "f8", "?"]
)
def test_every_dtype_works(dtype: str) -> None:
    image, labels = pair()
    cast = (image > 120) if dtype == "?" else image.astype(dtype)
    cast.flags.writeable = False
    data = load_data(settings(validation=0), [(cast, labels.astype(">i4")[:, :])])
    assert data.train[0].image.dtype == np.float32
    assert np.isfinite(data.train[0].image).all()


def values(**changes: object) -> TrainConfig:
    return settings(**{"labels": {"kind": "regression"}, **changes})


@pytest.mark.parametrize("shape", [(80,), (40, 50), (12, 40, 20)])
@pytest.mark.parametrize("dtype", ["u1", ">i2", "f4", "f8", "?"])
def test_values_have_mean_0_and_spread_1_over_the_training_images(shape, dtype: str) -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.random(shape), rng.normal(5, 2, shape).clip(0).astype(dtype)) for _ in range(5)]
    data = load_data(values(model={"ndim": len(shape)}), pairs)
    assert len(data.validation) == 1
    train = np.stack([s.truth for s in data.train])
    assert (train.dtype, train.shape) == (np.float32, (4, 1, *shape))
    assert train.mean() == pytest.approx(0, abs=1e-5)
    assert train.std() == pytest.approx(1, abs=1e-5)
    raw = {s.image.tobytes(): s.truth for s in (*data.train, *data.validation)}
    (target,) = data.target
    found = sorted(float((t * target.spread + target.mean).mean()) for t in raw.values())
    expected = sorted(float(np.mean(t)) for _, t in pairs)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_target_may_have_channels(place: str) -> None:
    image, _ = pair()
    target = np.stack([image, 2 * image, image**2], axis=0 if place == "first" else -1)
    data = load_data(values(validation=0), [(image, target)])
    assert data.names == ("value 0", "value 1", "value 2")
    assert data.train[0].truth.shape == (3, 40, 50)
    assert data.target[1].mean == pytest.approx(2 * data.target[0].mean)


@pytest.mark.parametrize("places", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_image_and_target_may_have_channels_in_other_places(places: tuple[int, int]) -> None:
    grey, _ = pair()
    image = np.stack([grey, grey + 1, grey + 2], axis=places[0])
    target = np.stack([grey, 2 * grey, 3 * grey], axis=places[1])
    if places == (0, 0):  # nothing but the axes tells these from two stacks
        image, target = Picture(image, "CYX"), Picture(target, "CYX")
    data = load_data(values(validation=0), [(image, target)])
    assert data.train[0].image.shape == data.train[0].truth.shape == (3, 40, 50)


def test_values_that_are_not_known_do_not_count() -> None:
    image, _ = pair()
    target = image.copy()
    target[0], target[1], target[2], target[3] = np.nan, np.inf, 0, -1
    image[4] = np.nan
    config = values(validation=0, labels={"kind": "regression", "zero": "unlabelled", "ignore": -1})
    data = load_data(config, [(image, target)])
    weights = data.train[0].weights
    assert not weights[:5].any()
    assert (weights[5:] == 1).all()
    assert data.target[0].mean == pytest.approx(target[5:].mean(), rel=1e-5)
    plain = load_data(values(validation=0), [(image, target)])
    assert plain.train[0].weights[2:4].all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i, t: (i, t * 0 + 3), "U106.*3 in all"),
        (lambda i, t: (i, t * np.nan), "U105"),
        (lambda i, t: (i, t[:-1]), "U102.*target 39x50"),
        (lambda i, t: (i, t + 1j), "U116"),
    ],
)
def test_a_target_that_cannot_be_learned_is_told(change, words: str) -> None:
    image, _ = pair()
    with pytest.raises(InputError, match=words):
        load_data(values(), [change(image, image.copy())])


def test_targets_of_different_channels_are_told() -> None:
    image, _ = pair()
    with pytest.raises(InputError, match=r"U119.*targets"):
        load_data(values(), [(image, image), (image, np.stack([image] * 3, axis=-1))])


def test_few_bright_pixels_are_normalised_by_percentiles_and_others_by_their_spread() -> None:
    _, labels = pair()
    rng = np.random.default_rng(0)
    even = rng.normal(100, 10, labels.shape)
    dark = rng.normal(100, 1, labels.shape)
    dark[:4] += 500
    for image, how in ((even, "zscore"), (dark, "percentile")):
        data = load_data(settings(validation=0, normalisation="auto"), [(image, labels)])
        assert data.normalisation == how
        assert any(how in note for note in data.notes)
        fixed = load_data(settings(validation=0, normalisation=how), [(image, labels)])
        np.testing.assert_array_equal(data.train[0].image, fixed.train[0].image)


def scribbles(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A stack with scribbles of three classes in one corner of one plane."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((5, 90, 100), np.int32)
    for row, value in enumerate((1, 2, 3, 1, 2, 3)):
        labels[2, 4 * row : 4 * row + 2, 5:65] = value
    return rng.normal(100, 10, labels.shape) + 50 * labels, labels


def same(one: Source, other: Source, *names: str) -> None:
    for name in names:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_of_a_stack_only_what_has_labels_is_learned_and_scored() -> None:
    data = load_data(settings(labels={"zero": "unlabelled"}), [scribbles()])
    for source in (*data.train, *data.validation):
        assert source.lead == (2,)
        assert source.weights.any()
    assert data.grammar.values == (1, 2, 3)
    scored = {int(v) for s in data.validation for v in np.unique(s.truth[s.weights > 0])}
    assert scored == {0, 1, 2}


@pytest.mark.parametrize("kind", ["classes", "instances"])
def test_what_is_ignored_counts_nowhere(kind: str) -> None:
    image, labels = scribbles()
    config = settings(labels={"kind": kind, "zero": "unlabelled", "ignore": 9})
    plain = load_data(config, [(image, labels)])
    assert np.average(plain.class_weights) > 0
    other = labels.copy()
    other[:, 40:] = 9
    other[2, 31:, 80:] = 0
    changed = load_data(config, [(image, other)])
    np.testing.assert_array_equal(changed.class_weights, plain.class_weights)
    assert changed.split == plain.split
    for one, two in zip(
        (*plain.train, *plain.validation), (*changed.train, *changed.validation), strict=True
    ):
        same(one, two, "weights", "image")
        np.testing.assert_array_equal(one.truth[one.weights > 0], two.truth[two.weights > 0])


def test_corrected_labels_keep_what_is_held_out() -> None:
    image, labels = pair((80, 100))
    first = load_data(settings(), [(image, labels)])
    corrected = labels.copy()
    corrected[50:70, 5:25] = 7
    again = load_data(settings(seed=5), [(image, corrected)], split=first.split)
    assert again.split == first.split
    same(again.validation[0], first.validation[0], "image")


def test_a_split_of_other_images_is_refused() -> None:
    split = load_data(settings(), [pair((80, 100))]).split
    with pytest.raises(InputError, match="U118"):
        load_data(settings(), [pair((60, 60))], split=split)


def test_held_out_images_are_found_again_in_another_order() -> None:
    pairs = [pair(seed=k) for k in range(5)]
    first = load_data(settings(), pairs)
    moved = {(s.pair, s.lead): str(k) for k, s in enumerate(first.train)}
    assert follow_images(first.split, moved) is None
    places = {(4 - box.pair, box.lead): box.image for box in first.split.boxes}
    found = follow_images(first.split, places)
    assert found is not None
    assert [box.pair for box in found.boxes] == [4 - box.pair for box in first.split.boxes]
    again = load_data(settings(), pairs[::-1], split=found)
    for one, two in zip(first.validation, again.validation, strict=True):
        same(one, two, "image", "truth", "weights")


def test_a_pair_is_drawn_as_often_as_its_share_says() -> None:
    pairs = [pair((64, 64), 0), pair((64, 128), 1), pair((32, 64), 2)]
    pairs[1] = (pairs[1][0] * 20 + 1000, pairs[1][1])  # sizes and intensities differ
    data = load_data(settings(validation=0, shares=(1, 2, 8)), pairs)
    assert max(s.image.max() for s in data.train) < 5  # all alike to the network
    for k, source in enumerate(data.train):
        source.image[:] = k
    sampler, n = Sampler(data.train, ((8, 8), (8, 8)), by_class=0), 3000
    batch = sampler.batch(n, None, np.random.default_rng(0))
    drawn = batch.image.mean(dim=(1, 2, 3)).round().int().numpy()
    np.testing.assert_allclose(np.bincount(drawn) / n, np.array([1, 4, 4]) / 9, atol=0.03)


def test_shares_are_as_many_as_pairs() -> None:
    with pytest.raises(InputError, match="2 shares for 3 pairs"):
        load_data(settings(shares=(1, 2)), [pair(seed=k) for k in range(3)])


def test_classes_have_the_names_and_colours_that_were_given() -> None:
    labels = {"kind": "classes", "names": ("2=wall:#ff0000", "1=cell")}
    data = load_data(settings(labels=labels), [pair()])
    assert [(c.value, c.name) for c in data.classes] == [
        (0, "background"),
        (1, "cell"),
        (2, "wall"),
    ]
    assert data.classes[2].colour == "#ff0000"
    assert data.names == ("background", "cell", "wall")
