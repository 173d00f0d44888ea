"""One dict of plain numbers, whatever is compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_unet.config import InputError
from napari_unet.metrics.evaluate import evaluate, evaluate_many
from tests.metrics.test_objects import PREDICTION, TRUTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS: list[Any] = ["classes", "instances", "regression"]
PAIRS = array_shapes(max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(*[arrays(np.int32, shape, elements=st.integers(0, 4))] * 2)
)


@settings(deadline=None)
@given(PAIRS, st.sampled_from(KINDS))
def test_everything_can_be_written_to_json(
    pair: tuple[NDArray[Any], NDArray[Any]], kind: Any
) -> None:
    result = evaluate(*pair, kind)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["kind"] == kind
    assert result["n_pixels"] == pair[0].size


@settings(deadline=None)
@given(PAIRS, st.sampled_from(KINDS), st.integers(0, 4))
def test_ignored_pixels_count_nowhere(
    pair: tuple[NDArray[Any], NDArray[Any]], kind: Any, other: int
) -> None:
    prediction, truth = pair
    truth = np.append(truth.ravel(), [0, 255, 255])
    prediction = np.append(prediction.ravel(), [0, 0, 0])
    changed = np.where(truth == 255, other, prediction)
    assert evaluate(changed, truth, kind, 255) == evaluate(prediction, truth, kind, 255)
    assert evaluate(changed, truth, kind, 255)["n_pixels"] == len(truth) - 2


def test_published_foreground() -> None:
    scores = evaluate(PREDICTION, TRUTH, "instances")["foreground"]
    expected = {"dice": 0.675325, "jaccard": 0.509804, "precision": 0.634146, "recall": 0.722222}
    assert scores == pytest.approx(expected, abs=5e-7)
    classes = evaluate(PREDICTION > 0, TRUTH > 0, "classes")
    assert classes["classes"]["1"] == classes["mean"] == scores


def test_published_objects() -> None:
    result = evaluate(PREDICTION, TRUTH, "instances")
    assert (result["n_true"], result["n_predicted"]) == (3, 4)
    ap = {scores["threshold"]: scores["ap"] for scores in result["objects"]}
    assert ap == pytest.approx({0.5: 0.4, **dict.fromkeys(list(ap)[1:], 1 / 6)})
    assert result["mean_ap"] == pytest.approx((0.4 + 9 / 6) / 10)
    assert result["seg"] == 0.5
    assert evaluate(PREDICTION, np.zeros_like(TRUTH), "instances")["seg"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_perfect_is_perfect(kind: Any) -> None:
    result = evaluate(TRUTH, TRUTH, kind)
    perfect = {
        "classes": lambda: {*result["mean"].values(), result["accuracy"]} == {1.0},
        "instances": lambda: {result["mean_ap"], *result["foreground"].values()} == {1.0},
        "regression": lambda: {result["mse"], result["rmse"], result["mae"]} == {0.0},
    }
    assert perfect[kind]()


def test_regression_in_the_units_of_the_truth() -> None:
    truth = np.array([0.0, 1.0, 2.0, np.nan])
    result = evaluate(np.array([3.0, 1.0, -2.0, 7.0]), truth, "regression")
    assert (result["mse"], result["mae"]) == pytest.approx((25 / 3, 7 / 3))
    assert result["rmse"] == pytest.approx((25 / 3) ** 0.5)
    assert evaluate(np.array([np.nan]), np.array([1.0]), "regression")["mse"] is None


def test_255_stands_for_class_1() -> None:
    truth = np.where(TRUTH > 0, 255, 0)
    result = evaluate(TRUTH > 0, truth)
    assert result["mean"]["dice"] == 1
    assert result["notes"] == ["truth holds 0 and 255 only: 255 is read as class 1"]
    assert evaluate(truth, truth)["notes"] == []


def test_class_values_need_no_order() -> None:
    result = evaluate(np.array([7, 7, 9]), np.array([7, 9, 9]))
    assert result["values"] == [7, 9]
    assert result["confusion"] == [[1, 0], [1, 1]]
    assert result["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("kind", ["classes", "instances"])
def test_types_of_integers_do_not_matter(kind: Any) -> None:
    found = evaluate(PREDICTION.astype(np.uint64), TRUTH.astype(np.int64), kind)
    assert found == evaluate(PREDICTION, TRUTH, kind)


def test_a_picture_of_background_has_no_mean() -> None:
    empty = np.zeros_like(TRUTH)
    result = evaluate(empty, empty)
    assert (result["accuracy"], result["mean"]["dice"]) == (1, None)
    many = evaluate_many([(empty, empty), (PREDICTION > 0, TRUTH > 0)])
    assert many["mean"]["mean"]["dice"] == pytest.approx(0.675325, abs=5e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_must_match(kind: Any) -> None:
    with pytest.raises(
        InputError, match="U102: prediction 4x6 does not match truth 6x4: they look"
    ):
        evaluate(np.zeros((4, 6), int), np.zeros((6, 4), int), kind)
    with pytest.raises(InputError, match="U102: prediction 4x6 does not match truth 4x5: choose"):
        evaluate(np.zeros((4, 6), int), np.zeros((4, 5), int), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_some_pixel_must_count(kind: Any) -> None:
    with pytest.raises(InputError, match="U105"):
        evaluate(np.ones(4, int), np.full(4, 255), kind, ignore=255)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="U111"):
        evaluate(np.arange(300), np.arange(300))
    with pytest.raises(InputError, match="U150"):
        evaluate(TRUTH, TRUTH, "colours")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="U116"):
        evaluate(np.array(["a"]), np.array([1.0]), "regression")


@settings(deadline=None)
@given(PAIRS, st.sampled_from(KINDS))
def test_one_image_is_its_own_pool_and_mean(
    pair: tuple[NDArray[Any], NDArray[Any]], kind: Any
) -> None:
    many = evaluate_many([pair], kind, names=["only"])
    assert json.loads(json.dumps(many, allow_nan=False)) == many
    assert many["images"] == [{"name": "only", **many["pooled"]}]
    assert many["pooled"] == evaluate(*pair, kind)
    means = {key: value for key, value in many["mean"].items() if key in many["pooled"]}
    assert means == {key: many["pooled"][key] for key in means}
    assert many["mean"]["n_images"] == 1


IMAGES = [
    (np.array([[0, 1, 1, 2]]), np.array([[0, 1, 2, 2]])),
    (np.array([[1, 1, 0, 0]]), np.array([[1, 0, 0, 0]])),
    (np.array([[0, 0, 0, 9]]), np.array([[0, 0, 0, 9]])),
]


@pytest.mark.parametrize("kind", KINDS)
def test_pooled_is_all_images_as_one(kind: Any) -> None:
    apart = 100 if kind == "instances" else 0  # objects of different images are different ones
    wide = [
        np.hstack([np.where(labels, labels + apart * k, 0) for k, labels in enumerate(side)])
        for side in zip(*IMAGES, strict=True)
    ]
    assert evaluate_many(IMAGES, kind)["pooled"] == evaluate(*wide, kind)


def test_means_are_taken_where_a_score_is_defined() -> None:
    many = evaluate_many(IMAGES)
    assert [image["name"] for image in many["images"]] == ["1", "2", "3"]
    dice = [image["classes"]["1"]["dice"] for image in many["images"] if "1" in image["classes"]]
    assert many["mean"]["classes"]["1"]["dice"] == pytest.approx(np.mean(dice))
    assert many["mean"]["defined"]["classes"]["1"]["dice"] == len(dice) == 2
    assert many["mean"]["defined"]["classes"]["9"]["dice"] == 1
    assert list(many["mean"]["classes"]) == ["0", "1", "2", "9"]
    assert many["mean"]["defined"]["accuracy"] == many["mean"]["n_images"] == 3
    mean, pooled = (many[part]["accuracy"] for part in ("mean", "pooled"))
    assert (mean, pooled) == pytest.approx((2.5 / 3, 10 / 12))
    empty = evaluate_many([(TRUTH, TRUTH), (TRUTH, 0 * TRUTH)], "instances")
    assert (empty["mean"]["seg"], empty["mean"]["defined"]["seg"]) == (1, 1)
    assert [each["threshold"] for each in empty["mean"]["objects"]][1] == 0.55


def test_pooled_counts_are_not_the_mean_of_images() -> None:
    small, large = np.ones((1, 2), int), np.ones((1, 8), int)
    many = evaluate_many([(0 * small, small), (large, large)], "regression")
    assert many["mean"]["mae"] == pytest.approx(0.5)
    assert many["pooled"]["mae"] == pytest.approx(0.2)


def test_the_image_that_fails_is_named() -> None:
    pairs = [(TRUTH, TRUTH), (TRUTH, TRUTH[1:])]
    with pytest.raises(InputError, match="U102: b: prediction 20x20 does not match"):
        evaluate_many(pairs, names=["a", "b"])
    with pytest.raises(InputError, match="U150: 3 names for 2 images"):
        evaluate_many(pairs[:1] * 2, names=["a", "b", "c"])
    with pytest.raises(InputError, match="U150: 1 names for 2 images"):
        evaluate_many(pairs[:1] * 2, names=["a"])
    with pytest.raises(InputError, match="U101"):
        evaluate_many([])
