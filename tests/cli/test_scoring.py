"""Scores from the shell: those of the Python functions, as JSON, as a table, as CSV."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest
import zarr

from napari_unet.arrays.samples import touching_cells
from napari_unet.arrays.writing import write_tiff
from napari_unet.metrics.evaluate import evaluate, evaluate_many
from napari_unet.metrics.tabulate import tabulate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Done

    Cli = Callable[..., Done]

TRUTH = touching_cells((48, 40), seed=2)[1]
FOUND = np.roll(TRUTH, 2, axis=1)
NOISE = np.random.default_rng(0).random(TRUTH.shape)
CASES: dict[str, tuple[Any, Any]] = {
    "classes": (FOUND % 3, TRUTH % 3),
    "instances": (FOUND, TRUTH),
    "regression": (FOUND + NOISE, TRUTH * 1.5),
    "isbi": (0.7 * (FOUND > 0) + 0.3 * NOISE, TRUTH),
}


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two predictions and two truths of each kind, in folders, and the first as single files."""
    for kind, pair in CASES.items():
        for part, array in zip(("found", "truth"), pair, strict=True):
            (tmp_path / kind / part).mkdir(parents=True)
            for name, flipped in (("a", array), ("b", array[::-1])):
                np.save(tmp_path / kind / part / f"{name}.npy", flipped)
    return tmp_path


@pytest.mark.parametrize("colours", [3, 4])
def test_a_target_in_colour_is_scored_against_a_prediction(
    cli: Cli, tmp_path: Path, colours: int
) -> None:
    clean = np.random.default_rng(0).integers(0, 256, (20, 24, colours), np.uint8)
    iio.imwrite(tmp_path / "clean.png", clean)
    values = np.moveaxis(clean[..., :3], -1, 0).astype(np.float32) + 2  # without opacity
    write_tiff(tmp_path / "found.tif", values, "CYX")
    words = ("evaluate", tmp_path / "found.tif", tmp_path / "clean.png", "--kind", "regression")
    done = cli(*words, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["mae"] == 2


@pytest.mark.parametrize("kind", CASES)
def test_a_file_is_scored_as_the_function_does(cli: Cli, folders: Path, kind: str) -> None:
    words = ("evaluate", folders / kind / "found/a.npy", folders / kind / "truth/a.npy")
    expected = evaluate(*CASES[kind], kind)
    assert json.loads(cli(*words, "--kind", kind, "--json").out) == plain(expected)
    out = folders / "scores.csv"
    head, *lines, rest = cli(*words, "--kind", kind, "--csv", out).out.splitlines()
    table = tabulate(expected)
    assert head.split() == list(table.columns)
    assert len(lines) == len(table.rows)
    assert rest.startswith("n_pixels 1920")
    assert ("seg " in rest) == (kind == "instances")
    with out.open(newline="") as file:
        columns, *rows = csv.reader(file)
    assert tuple(columns) == table.columns
    assert rows == [["" if cell is None else str(cell) for cell in row] for row in table.rows]


@pytest.mark.parametrize("kind", CASES)
def test_folders_are_scored_image_by_image_and_together(cli: Cli, folders: Path, kind: str) -> None:
    words = ("evaluate", folders / kind / "found", folders / kind / "truth", "--kind", kind)
    found, truth = CASES[kind]
    pairs = [(found, truth), (found[::-1], truth[::-1])]
    expected = evaluate_many(pairs, kind, None, ["a.npy", "b.npy"])
    assert json.loads(cli(*words, "--json").out) == plain(expected)
    head, *lines, rest = cli(*words).out.splitlines()
    assert head.split()[0] == "image"
    assert rest.startswith("n_pixels 3840")
    assert {line.split()[0] for line in lines} == {"a.npy", "b.npy", "all"}


def test_an_array_of_a_zarr_group_is_a_file(cli: Cli, folders: Path) -> None:
    found, truth = CASES["classes"]
    zarr.create_group(store=folders / "o.zarr").create_array("classes", data=found)
    words = ("evaluate", folders / "o.zarr/classes", folders / "classes/truth/a.npy")
    assert json.loads(cli(*words, "--json").out) == plain(evaluate(found, truth, "classes"))


def test_an_ignored_value_counts_nowhere(cli: Cli, folders: Path) -> None:
    found, truth = CASES["classes"]
    words = ("evaluate", folders / "classes/found/a.npy", folders / "classes/truth/a.npy")
    done = cli(*words, "--ignore", 2, "--json")
    assert json.loads(done.out) == plain(evaluate(found, truth, "classes", 2))


def test_what_was_assumed_is_told(cli: Cli, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", (TRUTH > 0) * 255)
    np.save(tmp_path / "b.npy", (TRUTH > 0) * 1)
    done = cli("evaluate", tmp_path / "b.npy", tmp_path / "a.npy")
    assert "255 is read as class 1" in done.err
    assert done.out.splitlines()[-1] == "n_pixels 1920, accuracy 1"


def test_signals_are_scored_too(cli: Cli, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(9) % 3)
    np.save(tmp_path / "c.npy", np.full(9, np.nan))
    a, c = tmp_path / "a.npy", tmp_path / "c.npy"
    assert json.loads(cli("evaluate", a, a, "--json").out)["mean"]["dice"] == 1
    done = cli("evaluate", c, a, "--kind", "regression", "--json")
    assert json.loads(done.out)["mse"] is None
    assert "-" in cli("evaluate", c, a, "--kind", "regression").out


def test_bad_words_are_refused_and_nothing_is_written(cli: Cli, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(9) % 3)
    np.save(tmp_path / "b.npy", np.arange(8) % 3)
    (tmp_path / "two").mkdir()
    for name in "ab":
        np.save(tmp_path / "two" / f"{name}.npy", np.arange(9) % 3)
    a, b = tmp_path / "a.npy", tmp_path / "b.npy"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for words, code in (
        ((a, b), "U102"),
        ((a, tmp_path / "none.npy"), "U126"),
        ((tmp_path / "two", a), "U101"),
        ((a, a, "--csv", a), "U130"),
        ((a, a, "--csv", a / "x.csv"), "U130"),
        ((a, a, "--kind", "beauty"), "U170"),
    ):
        done = cli("evaluate", *words)
        assert (done.code, done.out, done.err[:5]) == (2, "", f"{code}:")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
