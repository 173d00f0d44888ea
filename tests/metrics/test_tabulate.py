"""A table holds what was scored, and a file holds the table."""

from __future__ import annotations

import csv
import io
from typing import Any, get_args

import numpy as np
import pytest

from napari_unet.config.evaluation import Kind
from napari_unet.metrics.evaluate import evaluate, evaluate_many
from napari_unet.metrics.isbi import RULERS
from napari_unet.metrics.tabulate import tabulate, to_csv
from tests.metrics.test_objects import PREDICTION, TRUTH

KINDS: tuple[Any, ...] = get_args(Kind)


def test_classes_and_their_mean() -> None:
    result = evaluate(PREDICTION > 0, TRUTH > 0)
    table = tabulate(result)
    assert table.columns == ("class", "dice", "jaccard", "precision", "recall")
    assert [row[0] for row in table.rows] == ["0", "1", "mean"]
    assert table.rows[1][1:] == tuple(result["classes"]["1"].values())
    assert table.rows[2][1:] == tuple(result["mean"].values())


def test_objects_by_smallest_overlap() -> None:
    table = tabulate(evaluate(PREDICTION, TRUTH, "instances"))
    assert len(table.rows) == 10
    assert dict(zip(table.columns, table.rows[0], strict=True)) == pytest.approx(
        {"threshold": 0.5, "tp": 2, "fp": 2, "fn": 1, "precision": 0.5, "recall": 2 / 3,
         "f1": 4 / 7, "ap": 0.4, "pq": 3 / 7, "seg": 0.5}
    )  # fmt: skip


def test_errors_and_membranes_by_measure() -> None:
    table = tabulate(evaluate(PREDICTION, TRUTH, "regression"))
    assert [row[0] for row in table.rows] == ["mse", "rmse", "mae"]
    table = tabulate(evaluate(PREDICTION, TRUTH, "isbi"))
    assert table.columns == ("measure", "value", "pooled", "threshold")
    assert tuple(row[0] for row in table.rows) == tuple(RULERS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_result_of_many_has_a_table(kind: Any) -> None:
    many = evaluate_many([(PREDICTION, TRUTH), (TRUTH, TRUTH)], kind)
    shapes = [tabulate(result).columns for result in (*many["images"], many["pooled"])]
    assert set(shapes) == {tabulate(many["mean"]).columns}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_the_table_back(kind: Any) -> None:
    table = tabulate(evaluate(PREDICTION, np.zeros_like(TRUTH), kind))
    header, *lines = csv.reader(io.StringIO(to_csv(table)))
    assert tuple(header) == table.columns
    for line, row in zip(lines, table.rows, strict=True):
        for text, cell in zip(line, row, strict=True):
            assert text == "" if cell is None else type(cell)(text) == cell
