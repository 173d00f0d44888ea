"""Every benchmark runs, on tiny images, and prints its table."""

from __future__ import annotations

import csv
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_unet.arrays.samples import membranes, touching_cells
from napari_unet.arrays.writing import write_tiff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., list[str]]

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
N_FLUO = 60  # as many as dsb2018 needs: 40 to train, 20 to test


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a benchmark in this process, which has imported all it needs; return what it prints."""
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def go(script: str, *arguments: object, status: int = 0) -> list[str]:
        path = str(BENCHMARKS / script)
        monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
        capfd.readouterr()
        code: object = 0
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            code = end.code
        out, err = capfd.readouterr()
        assert (code or 0) == status, err
        return out.splitlines()

    yield go
    torch.set_num_threads(threads)


def run_alone(script: str, *arguments: object) -> list[str]:
    """Run a benchmark that forks, or measures memory, as a user does; return what it prints."""
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    single = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads wait for each other, working
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=single)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def cells(line: str) -> list[str]:
    """Split a row of a Markdown table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def write_pair(
    folder: Path, name: str, image: np.ndarray, labels: np.ndarray, axes: str = "YX"
) -> None:
    drawn = labels.astype(np.uint16) if labels.dtype.kind in "if" else labels
    for part, array, letters in (("images", image, axes), ("labels", drawn, axes.replace("C", ""))):
        folder.joinpath(part).mkdir(parents=True, exist_ok=True)
        write_tiff(folder / part / f"{name}.tif", array, letters)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated images where the benchmarks look for real ones."""
    folder = tmp_path_factory.mktemp("sets")
    for k in range(18):
        image, labels = membranes((64, 64), seed=k)
        write_pair(folder / "isbi2012_em", f"train_{k:02}", image, labels * np.uint8(255))
    names = [f"{k:03x}" for k in range(N_FLUO + 1)]
    for k, name in enumerate(names):  # the last is a coloured one, dark on white
        image, labels = touching_cells((64, 64), seed=k)
        if name == names[-1]:
            grey = np.clip(255 - image / image.max() * 200, 0, 255).astype(np.uint8)
            write_pair(folder / "dsb2018", name, np.stack([grey] * 3, axis=-1), labels, "YXC")
        else:
            write_pair(folder / "dsb2018", name, image, labels.astype(np.uint16))
    with (folder / "dsb2018" / "index.csv").open("w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["id", "kind"])
        rows.writerows([name, "fluo" if name != names[-1] else "rgb"] for name in names)
    return folder


def test_border_term_prints_its_table(run: Run) -> None:
    head, _, row = run("weights.py", "64/5", "--repeats", 1)
    assert cells(row)[:2] == ["64 x 64", "5"]
    assert float(cells(row)[cells(head).index("largest error")]) < 1e-5


@pytest.mark.parametrize(
    ("dataset", "border", "score"),
    [("isbi2012_em", "recipe", "pixel_error"), ("dsb2018", "on", "f1")],
)
def test_accuracy_prints_and_keeps_its_table(
    run: Run, sets: Path, tmp_path: Path, dataset: str, border: str, score: str
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


def test_minutes_are_scored_from_scratch_and_from_a_parent(
    run: Run, sets: Path, tmp_path: Path
) -> None:
    parent = tmp_path / "parent"
    (learned,) = run("minutes.py", sets, "--run", "parent", "--parent", 0.005, "--from", parent)
    assert json.loads(learned)["steps"] >= 1
    (found,) = run("minutes.py", sets, "--run", "tissue/off/0.005", "--from", parent)
    row = json.loads(found)
    assert (row["start"], row["border"], row["minutes"]) == ("tissue", "off", 0.005)
    assert row["w0"] == 0
    assert 0 <= row["f1"] <= 1
    kept = tmp_path / "minutes.json"
    kept.write_text(json.dumps([row]))
    page = tmp_path / "page.md"
    page.write_text("<!-- minutes:begin --><!-- minutes:end -->")
    run("tables.py", page, kept)
    *_, last, _, _ = page.read_text().splitlines()
    assert cells(last)[:3] == ["0.005", "off", "model of tissue"]


def test_frames_of_a_sequence_are_scored(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "ctc_phc_u373"
    for k in (1, 2, 30, 75, 80):  # before 60 to train
        image, labels = touching_cells((64, 64), seed=k)
        write_pair(folder, f"01_t{k:03}", image, labels)
    (folder / "labels").rename(folder / "labels_ST")
    drawn = folder / "labels_GT"
    drawn.mkdir()
    (folder / "labels_ST" / "01_t075.tif").rename(drawn / "01_t075.tif")
    head, _, row = run("cells.py", tmp_path, "--minutes", 0.005)
    found = dict(zip(cells(head), cells(row), strict=True))
    assert found["frames to train / to test"] == "3 / 1"
    assert 0 <= float(found["SEG"]) <= 1


def test_a_run_that_fails_does_not_take_the_others_along(
    run: Run, sets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.json"
    short = ("--architectures", "unet", "--border", "on", "--minutes", -1, "--out", out)
    printed = run("accuracy.py", sets, "dsb2018", *short, status=1)
    assert "ended with status" in "\n".join(printed)
    assert "failed" in json.loads(out.read_text())[0]


@pytest.fixture(scope="module")
def family_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated images where the benchmark of the family looks for real ones."""
    folder = tmp_path_factory.mktemp("family")
    rng = np.random.default_rng(0)
    for k in range(20):
        volume, labels = rng.normal(size=(12, 16, 14)).astype(np.float32), np.zeros((12, 16, 14))
        labels[3:6, 4:9, 3:9], labels[6:9, 4:9, 3:9] = 1, 2
        write_pair(folder / "msd_hippocampus", f"h_{k:02}", volume + labels, labels, "ZYX")
    for k in range(6):
        image, labels = touching_cells((64, 64), seed=k)
        write_pair(folder / "axondeepseg_sem", f"rat{k}", image, np.minimum(labels, 2))
    for k in range(4):
        image, labels = touching_cells((64, 64), seed=k)
        drive = folder / "drive_retina"
        write_pair(drive, f"t_{k}", np.stack([image] * 3), (labels > 0) * 255, "CYX")
        seen = np.full((64, 64), 255, np.uint8)
        seen[:9] = 0
        (drive / "fov_masks").mkdir(exist_ok=True)
        write_tiff(drive / "fov_masks" / f"t_{k}.tif", seen, "YX")
    return folder


@pytest.mark.parametrize(
    ("dataset", "network", "score"),
    [
        ("msd_hippocampus", "unet", "class 2: dice"),
        ("axondeepseg_sem", "dense", "class 1: dice"),
        ("drive_retina", "attention", "class 1: recall"),
        ("denoising", "improved", "psnr_db"),
        ("signals", "unet", "class 1: dice"),
    ],
)
def test_the_family_prints_and_keeps_its_table_and_fills_the_page(
    run: Run, family_sets: Path, tmp_path: Path, dataset: str, network: str, score: str
) -> None:
    out, page = tmp_path / "family.json", tmp_path / "page.md"
    short = ("--architectures", network, "--minutes", 0.005, "--out", out)
    *_, head, _, row = printed = run("family.py", family_sets, dataset, *short)
    assert len(cells(head)) == len(cells(row))
    (kept,) = json.loads(out.read_text())
    assert kept["name"] == f"family/{dataset}/{network}"
    assert kept["steps"] >= 1
    assert np.isfinite(kept[score])
    page.write_text((ROOT / "docs/benchmarks.md").read_text("utf-8"), "utf-8")
    run("tables.py", page, out)
    assert page.read_text("utf-8").count("\n".join(printed)) == 1


def test_tiling_fills_the_page(run: Run, tmp_path: Path) -> None:
    out, page = tmp_path / "tiling.json", tmp_path / "page.md"
    small = ("--sizes", 96, "--base", 4, "--seconds", 1, "--repeats", 1)
    small += ("--architectures", "unet2015")
    printed = run_alone("tiling.py", *small, "--out", out)
    rows = {row["way"]: row for row in json.loads(out.read_text())}
    for way in ("rows", "tiles of 512"):
        assert rows[way]["logits"] < 1e-4
        assert rows[way]["redundant"] == 0
    page.write_text((ROOT / "docs/benchmarks.md").read_text("utf-8"), "utf-8")
    for _ in range(2):  # a second time changes nothing
        run("tables.py", page, out)
        assert page.read_text("utf-8").count("\n".join(printed)) == 1


def test_large_reads_nothing_beyond_the_margin(tmp_path: Path) -> None:
    out = tmp_path / "large.json"
    small = ("--edge", 600, "--base", 4, "--chunk", 128)
    run_alone("large.py", *small, "--out", out)
    rows = json.loads(out.read_text())
    assert [row["way"] for row in rows] == ["tiles", "rows"]
    assert all(row["beyond"] == 0 and row["chunks"] > 0 for row in rows)


def test_instances_are_compared(run: Run) -> None:
    assert len(run("instances.py", 128, "--repeats", 1)) == 4


def test_backends_are_compared(run: Run) -> None:
    small = ("--size", 64, "--base", 4, "--repeats", 1, "--architectures", "unet")
    assert any("unet" in line for line in run("backends.py", *small))


def test_a_killed_training_ends_with_the_same_bytes() -> None:
    *_, verdict = run_alone("kills.py", "--kills", 1, "--epochs", 2)
    assert verdict.endswith("bit-identical")


def test_a_dead_scheduler_is_told_and_costs_nothing_but_time(tmp_path: Path) -> None:
    out = tmp_path / "workers.json"
    run_alone("workers.py", "--only", "scheduler", "--repeats", 1, "--size", 256, "--out", out)
    (row,) = json.loads(out.read_text())
    assert (row["runs"], row["equal"]) == (1, 1)
