"""Every benchmark runs, on tiny images, and prints its table."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_unet.arrays.samples import membranes, touching_cells
from napari_unet.arrays.writing import write_tiff

ROOT = Path(__file__).resolve().parents[1]
N_FLUO = 60  # as many as dsb2018 needs: 40 to train, 20 to test


def run(script: str, *arguments: object) -> list[str]:
    """Run a benchmark; return the lines that it prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def cells(line: str) -> list[str]:
    """Split a row of a Markdown table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def write_pair(folder: Path, name: str, image: np.ndarray, labels: np.ndarray) -> None:
    for part, array in (("images", image), ("labels", labels)):
        folder.joinpath(part).mkdir(parents=True, exist_ok=True)
        write_tiff(folder / part / f"{name}.tif", array, "YX")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated images where the benchmarks look for real ones."""
    folder = tmp_path_factory.mktemp("sets")
    for k in range(18):
        image, labels = membranes((64, 64), seed=k)
        write_pair(folder / "isbi2012_em", f"train_{k:02}", image, labels * np.uint8(255))
    names = [f"{k:03x}" for k in range(N_FLUO + 1)]
    for k, name in enumerate(names[:N_FLUO]):  # the last is no fluorescence and is not there
        image, labels = touching_cells((64, 64), seed=k)
        write_pair(folder / "dsb2018", name, image, labels.astype(np.uint16))
    with (folder / "dsb2018" / "index.csv").open("w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["id", "kind"])
        rows.writerows([name, "fluo" if name != names[-1] else "rgb"] for name in names)
    return folder


def test_border_term_prints_its_table() -> None:
    head, row = run("weights.py", "64/5", "--repeats", 1)
    assert "error/w0" in head
    assert row.split()[0] == "64/5"


@pytest.mark.parametrize(
    ("dataset", "border", "score"),
    [("isbi2012_em", "recipe", "pixel_error"), ("dsb2018", "on", "f1")],
)
def test_accuracy_prints_and_keeps_its_table(
    sets: Path, tmp_path: Path, dataset: str, border: str, score: str
) -> None:
    out = tmp_path / "results.json"
    out.write_text('[{"name": "of another benchmark"}]')
    short = ("--architectures", "unet", "--border", border, "--minutes", 0.005, "--out", out)
    *_, head, _, row = run("accuracy.py", sets, dataset, *short)
    assert len(cells(head)) == len(cells(row))
    other, kept = json.loads(out.read_text())
    assert other["name"] == "of another benchmark"
    assert kept["name"] == f"accuracy/{dataset}/unet/{border}"
    assert 0 <= kept[score] <= 1
    assert kept["steps"] >= 1
    assert kept["train_cpu_s"] > 0


def test_a_run_that_fails_does_not_take_the_others_along(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    short = ["--architectures", "unet", "--border", "on", "--minutes", "-1", "--out", str(out)]
    script = str(ROOT / "benchmarks/accuracy.py")
    command = [sys.executable, script, str(sets), "dsb2018", *short]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ended with status" in done.stdout
    assert "failed" in json.loads(out.read_text())[0]


def test_tiling_fills_the_page(tmp_path: Path) -> None:
    out, page = tmp_path / "tiling.json", tmp_path / "page.md"
    small = ("--size", 96, "--tiles", 32, "--repeats", 1, "--architectures", "unet2015")
    printed = run("tiling.py", *small, "--out", out)
    rows = json.loads(out.read_text())
    assert [(row["tile_px"], row["tiles"]) for row in rows] == [(32, 9)]
    assert all(row["difference"] < 1e-4 * row["spread"] for row in rows)
    page.write_text((ROOT / "docs/benchmarks.md").read_text("utf-8"), "utf-8")
    for _ in range(2):  # a second time changes nothing
        run("tables.py", page, out)
        assert page.read_text("utf-8").count("\n".join(printed)) == 1
