"""What a run learns from is checked, normalised, weighted and split as promised."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.config import InputError, TrainConfig
from napari_unet.training.data import load_data


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
    assert train.classes.shape == (40, 80)
    assert held.classes.shape == (40, 20) or not data.validation


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
    by_class = [sum(s.weights[s.classes == k].sum() for s in sources) for k in (0, 1)]
    assert by_class[0] == pytest.approx(by_class[1], rel=1e-3)
    assert np.mean([s.weights.mean() for s in sources]) == pytest.approx(1, rel=1e-3)


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
