"""Objects of every plane, numbered, placed and told what became of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_unet.arrays.samples import touching_cells
from napari_unet.config import EvaluateConfig, InputError
from napari_unet.metrics.evaluate import evaluate
from napari_unet.metrics.tabulate import tabulate
from napari_unet.ui.evaluation import COLOURS, compare_layers, error_layer
from napari_unet.ui.layers import Source
from tests.arrays.spies import Spy


def source(data: Any) -> Source:
    return Source(data, "PTZYX"[-data.ndim :], spacing=(), name="layer")


def never() -> bool:
    return False


def squares(*corners: tuple[int, int, int, int]) -> np.ndarray[Any, Any]:
    """Draw rectangles (y, x, height, width), numbered 10, 20, 30, ..."""
    labels = np.zeros((40, 60), np.uint16)
    for k, (y, x, height, width) in enumerate(corners, start=1):
        labels[y : y + height, x : x + width] = 10 * k
    return labels


TRUTH = squares((2, 2, 8, 8), (2, 20, 8, 8), (2, 40, 8, 6), (2, 46, 8, 6), (20, 2, 8, 16))
# found, missed, two merged into one, one split in two, and one that is not there
PREDICTED = squares((2, 3, 8, 8), (2, 40, 8, 12), (20, 2, 8, 7), (20, 10, 8, 8), (30, 40, 5, 5))


def test_every_object_has_its_status_and_its_middle() -> None:
    evaluation = compare_layers(
        source(PREDICTED), source(TRUTH), EvaluateConfig(threshold=0.7), never
    )
    objects = evaluation.objects
    assert objects is not None
    named = [dict(zip(objects.columns, row, strict=True)) for row in objects.rows]
    assert [(row["label"], row["status"]) for row in named] == [
        (10, "found"),
        (20, "missed"),
        (30, "merged"),
        (40, "merged"),
        (50, "split"),
        (50, "extra"),
    ]
    assert [row["index"] for row in named] == [1, 2, 3, 4, 5, 6]
    assert (named[0]["y"], named[0]["x"]) == (5.5, 5.5)
    assert (named[-1]["y"], named[-1]["x"]) == (32, 42)
    assert named[0]["matched"] == 10
    assert named[0]["iou"] == pytest.approx(7 / 9)


def test_the_map_draws_each_object_where_it_is() -> None:
    evaluation = compare_layers(
        source(PREDICTED), source(TRUTH), EvaluateConfig(threshold=0.7), never
    )
    errors = evaluation.errors
    assert errors is not None
    np.testing.assert_array_equal(errors[TRUTH > 0], TRUTH[TRUTH > 0] // 10)
    extra = (PREDICTED == 50) & (TRUTH == 0)
    assert set(np.unique(errors[extra])) == {6}
    assert not errors[(TRUTH == 0) & ~extra].any()


def test_colours_and_features_follow_the_numbers() -> None:
    evaluation = compare_layers(
        source(PREDICTED), source(TRUTH), EvaluateConfig(threshold=0.7), never
    )
    data, meta, kind = error_layer(evaluation, {"name": "errors"}, "me")
    assert kind == "labels"
    assert data is evaluation.errors
    for index, status in zip(meta["features"]["index"], meta["features"]["status"], strict=True):
        assert meta["colormap"][index] == COLOURS[status]
    assert len(set(COLOURS.values())) == 5


def test_a_stack_is_its_planes_one_by_one() -> None:
    pictures = [touching_cells((64, 80), seed)[1] for seed in range(3)]
    stack = np.stack(pictures)
    worse = stack.copy()
    worse[1][worse[1] == 2] = 0
    whole = compare_layers(source(worse), source(stack), EvaluateConfig(), never)
    singles = [
        compare_layers(source(worse[k]), source(stack[k]), EvaluateConfig(), never)
        for k in range(3)
    ]
    first = 0
    for k, single in enumerate(singles):
        assert single.errors is not None
        expected = np.where(single.errors, single.errors + first, 0)
        np.testing.assert_array_equal(whole.errors[k], expected)
        rows = whole.objects.rows[first : first + len(single.objects.rows)]
        assert [row[1:6] for row in rows] == [row[1:6] for row in single.objects.rows]
        assert all(row[6] == k for row in rows)
        first += len(single.objects.rows)
    names = [row[0] for row in whole.scores.rows]
    assert names == ["0", "1", "2", "all together", "mean"]
    for k, single in enumerate(singles):
        assert whole.scores.rows[k][1:] == single.scores.rows[0]


def test_a_volume_is_one_picture() -> None:
    labels = np.stack([TRUTH] * 3)
    evaluation = compare_layers(source(labels), source(labels), EvaluateConfig(ndim=3), never)
    assert evaluation.objects is not None
    assert [row[1] for row in evaluation.objects.rows] == ["found"] * 5
    assert evaluation.objects.columns[-3:] == ("z", "y", "x")
    assert evaluation.objects.rows[0][-3:] == (1, 5.5, 5.5)


def test_signals_are_rows_of_their_own() -> None:
    evaluation = compare_layers(
        source(TRUTH), source(TRUTH), EvaluateConfig(kind="classes", ndim=1), never
    )
    assert evaluation.objects is None
    assert {row[0] for row in evaluation.scores.rows} >= {"0", "39", "mean"}


@pytest.mark.parametrize("kind", ["classes", "regression", "isbi"])
def test_one_picture_gives_the_table_of_evaluate(kind: Any) -> None:
    truth = (TRUTH > 0).astype(np.uint8)
    wrong = np.roll(truth, 1, axis=1)
    evaluation = compare_layers(source(wrong), source(truth), EvaluateConfig(kind=kind), never)
    assert evaluation.scores == tabulate(evaluate(wrong, truth, kind))
    assert evaluation.errors is None


def test_what_is_ignored_counts_nowhere() -> None:
    config = EvaluateConfig(ignore=20, threshold=0.7)
    evaluation = compare_layers(source(PREDICTED), source(TRUTH), config, never)
    assert 20 not in [row[2] for row in evaluation.objects.rows]
    assert not evaluation.errors[TRUTH == 20].any()


def test_a_lazy_layer_is_read_plane_by_plane() -> None:
    planes = np.stack([TRUTH] * 4)
    lazy = Spy(planes), Spy(planes)
    compare_layers(source(lazy[0]), source(lazy[1]), EvaluateConfig(), never)
    for spy in lazy:
        assert {int(np.prod(shape)) for shape in spy.reads} == {TRUTH.size}


def test_layers_of_other_shapes_are_refused() -> None:
    with pytest.raises(InputError) as told:
        compare_layers(source(TRUTH[:30]), source(TRUTH), EvaluateConfig(), never)
    assert told.value.code == "U102"
    with pytest.raises(InputError) as told:
        compare_layers(source(TRUTH), source(TRUTH), EvaluateConfig(ndim=3), never)
    assert told.value.code == "U113"


def test_what_would_fill_the_memory_is_refused_unread() -> None:
    huge = Spy(np.broadcast_to(np.uint8(0), (2**21, 2**20)))
    with pytest.raises(InputError) as told:
        compare_layers(source(huge), source(huge), EvaluateConfig(kind="classes"), never)
    assert told.value.code == "U161"
    assert "2097152x1048576" in told.value.what
    assert not huge.reads
