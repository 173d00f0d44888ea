"""What jobs leave behind: the same bits however often they were stopped, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from napari_unet.config import InputError
from napari_unet.engine.jobs import SamplesJob
from napari_unet.engine.work import run_job
from napari_unet.events import Noted, Stepped
from napari_unet.inference.model import open_model
from napari_unet.training.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.engine.jobs import TrainJob

    Training = Callable[..., TrainJob]

STEPS = 6  # two epochs of three
DECAYING = {"optimiser": {"schedule": "exponential", "rate": 0.01, "gamma": 0.5}}


def stop_after(job: TrainJob, step: int) -> None:
    stream = run_job(job)
    for event in stream:
        if isinstance(event, Stepped) and event.step == step:
            break
    stream.close()


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(training: Training, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "m"
    assert list(run_job(training("whole", folder, **DECAYING)))
    return folder


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_run_stopped_after_any_step_goes_on_to_the_same_bits(
    undisturbed: Path, training: Training, tmp_path: Path, step: int
) -> None:
    stop_after(training("a", tmp_path / "m", **DECAYING), step)
    assert open_model(tmp_path / "m").card.training["steps"] == step
    list(run_job(training("b", tmp_path / "m", resume=True, **DECAYING)))
    assert weights(tmp_path / "m") == weights(undisturbed)
    rows = [
        (folder / "history.csv").read_text().splitlines()
        for folder in (tmp_path / "m", undisturbed)
    ]
    times = rows[0][0].split(",").index("elapsed_s")
    first, second = ([r.split(",") for r in one] for one in rows)
    assert [r[:times] + r[times + 1 :] for r in first] == [
        r[:times] + r[times + 1 :] for r in second
    ]


def test_a_run_stopped_again_and_again_goes_on_to_the_same_bits(
    undisturbed: Path, training: Training, tmp_path: Path
) -> None:
    for step in range(1, STEPS + 1):
        stop_after(training("a", tmp_path / "m", resume=True, **DECAYING), step)
    list(run_job(training("b", tmp_path / "m", resume=True, **DECAYING)))
    assert weights(tmp_path / "m") == weights(undisturbed)


def test_a_damaged_checkpoint_is_passed_over(
    undisturbed: Path, training: Training, tmp_path: Path
) -> None:
    stop_after(training("a", tmp_path / "m", **DECAYING), 5)
    newest = max((tmp_path / "m" / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:100])
    events = list(run_job(training("b", tmp_path / "m", resume=True, **DECAYING)))
    assert any(e.text == "resumed at step 3" for e in events if isinstance(e, Noted))
    assert weights(tmp_path / "m") == weights(undisturbed)


def test_new_checkpoints_outlive_damaged_ones_of_later_steps(
    training: Training, tmp_path: Path
) -> None:
    stop_after(training("a", tmp_path / "m", **DECAYING), 5)
    for path in (tmp_path / "m" / "checkpoints").iterdir():
        path.write_bytes(b"")
    (tmp_path / "m" / "card.json").unlink()
    stop_after(training("b", tmp_path / "m", resume=True, **DECAYING), 1)
    events = list(run_job(training("c", tmp_path / "m", resume=True, **DECAYING)))
    assert any(e.text == "resumed at step 1" for e in events if isinstance(e, Noted))


def test_what_an_interrupted_run_has_learned_is_not_trained_over(
    training: Training, tmp_path: Path
) -> None:
    stop_after(training("a", tmp_path / "m"), 4)
    (tmp_path / "m" / "card.json").unlink()  # as after a kill, before there is a model
    before = {p.name: p.read_bytes() for p in tmp_path.rglob("step-*")}
    with pytest.raises(InputError, match=r"U131.*unfinished training"):
        list(run_job(training("b", tmp_path / "m")))
    assert {p.name: p.read_bytes() for p in tmp_path.rglob("step-*")} == before


def test_a_job_leaves_the_number_of_threads_as_it_was(training: Training, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        stop_after(training("a", tmp_path / "m"), 1)
        assert torch.get_num_threads() == 2
        list(run_job(training("a", tmp_path / "m", resume=True)))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_out_of_memory_in_training_is_told_with_the_sizes(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_step(_run: Run) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Run, "take_step", take_step)
    with pytest.raises(InputError, match=r"U161.*step 1 \(batch 2, patches of 16x16"):
        list(run_job(training("a", tmp_path / "m")))


def test_a_place_that_cannot_be_written_is_told_before_anything_is_computed(
    training: Training, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="U130"):
        next(run_job(training("a", tmp_path / "file" / "m")))


def test_samples_write_nothing_but_samples(training: Training, tmp_path: Path) -> None:
    job = training("a", tmp_path / "m")
    out = tmp_path / "s.zarr"
    list(run_job(SamplesJob(job="s", config=job.config, pairs=job.pairs, out=str(out))))
    assert [path.name for path in tmp_path.iterdir()] == ["s.zarr"]
