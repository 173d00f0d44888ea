"""The engine as a real process: it answers, obeys, survives what is wrong, and ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unet.arrays.files import open_picture
from napari_unet.config import ModelConfig, PredictConfig
from napari_unet.engine.jobs import (
    LIMIT_BYTES,
    Cancel,
    CheckJob,
    CheckTilesJob,
    CompareJob,
    DescribeJob,
    Focus,
    Pause,
    PlanJob,
    PredictJob,
    Resume,
    SamplesJob,
    TrainJob,
)
from napari_unet.events import (
    Beat,
    Compared,
    Failed,
    Finished,
    Noted,
    Prepared,
    Ready,
    Saved,
    Started,
    Stepped,
    Stopped,
    TileDone,
    Validated,
)
from napari_unet.inference.model import open_model
from napari_unet.library.checkpoints import load_checkpoint
from napari_unet.library.folders import read_card

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.engine.jobs import ArrayRef
    from tests.engine.client import Client

    Training = Callable[..., TrainJob]
    Pairs = tuple[tuple[ArrayRef, ArrayRef], ...]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and signals of POSIX")
SMALL = ModelConfig(base=1, depth=1)
LONG = {"epochs": 1000, "steps": 1000}


def kinds(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


@pytest.fixture(scope="module")
def model(shared: Client, training: Training, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with attention gates, trained by the shared engine."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    network = {"architecture": "attention", "base": 2, "depth": 2}
    events = shared.run(training("model", folder, epochs=1, model=network))
    assert isinstance(events[-1], Finished)
    return str(folder)


def test_ready_comes_first_and_beats_come_once_a_second(start: Callable[[], Client]) -> None:
    client = start()
    client.send(DescribeJob(job="early", config=SMALL))
    client.send_raw(b"too early, and wrong\n")
    assert isinstance(client.hear()[1], Ready)
    assert client.heard[0][1].pid == client.process.pid
    ends = [(type(client.wait_for(Finished, Failed)), client.heard[-1][0]) for _ in range(2)]
    assert set(ends) == {(Finished, "early"), (Failed, "")}
    client.wait_for(Beat)
    began = time.monotonic()
    for _ in range(2):
        client.wait_for(Beat)
    assert 1 < time.monotonic() - began < 6  # two beats, on a busy machine
    os.kill(client.process.pid, signal.SIGINT)  # Ctrl-C in the terminal of the viewer
    client.wait_for(Beat)
    assert client.end() == 0


def test_a_training_tells_its_story_and_leaves_a_model(
    shared: Client, training: Training, tmp_path: Path
) -> None:
    events = shared.run(training("a", tmp_path / "m"))
    assert isinstance(events[0], Started)
    assert events[0].total == 6
    assert isinstance(events[1], Prepared)
    assert events[1].kind == "instances"
    assert events[1].split == read_card(tmp_path / "m").training["split"]
    notes = [event for event in events if isinstance(event, Noted)]
    rest = kinds(events[2 + len(notes) :])
    epoch = ["Stepped"] * 3 + ["Validated", "Saved"]
    assert rest == [*epoch, *epoch, "Saved", "Finished"]
    assert events[-1].path == str(tmp_path / "m")
    assert open_model(tmp_path / "m").card.spacing == (0.5, 0.25)


def test_a_prediction_fills_arrays_that_know_their_axes(
    shared: Client, model: str, pairs: Pairs, tmp_path: Path
) -> None:
    outputs = ("classes", "probabilities", "attention")
    for k, (image, _) in enumerate(pairs):  # by zarr, by TIFF
        out = tmp_path / f"{k}.zarr"
        config = PredictConfig(outputs=outputs, tile=16, threads=1, device="cpu")
        job = PredictJob(job=out.name, model=model, image=image, out=str(out), config=config)
        events = shared.run(job)
        tiles = [event for event in events if isinstance(event, TileDone)]
        told = [kind for kind in kinds(events) if kind not in {"Noted", "Advanced"}]
        assert told == ["Started", *["TileDone"] * 12, "Finished"]
        assert [event.done for event in tiles] == list(range(1, 13))
        group = zarr.open_group(out, mode="r")
        assert group.attrs["complete"] is True
        plain = {"axes": "YX", "spacing": [0.5, 0.25], "offset": [0, 0]}
        assert plain.items() <= dict(group["classes"].attrs).items()
        assert group["probabilities"].attrs["axes"] == "KYX"
        gate = plain | {"spacing": [2.0, 1.0], "stride": [4, 4]}  # 4 x 4 pixels a cell
        assert dict(group["attention/gate1"].attrs) == gate
        whole = open_model(model, "cpu").predict(open_picture(image.path, ndim=2))
        np.testing.assert_array_equal(group["classes"][:], whole["classes"])
        np.testing.assert_allclose(group["probabilities"][:], whole["probabilities"], atol=1e-5)


def test_samples_description_and_check_are_answered(
    shared: Client, training: Training, model: str, tmp_path: Path
) -> None:
    train = training("s", tmp_path / "none")
    out = tmp_path / "samples.zarr"
    job = SamplesJob(job="s", config=train.config, pairs=train.pairs, out=str(out), count=3)
    assert kinds(shared.run(job)) == ["Started", "Finished"]
    group = zarr.open_group(out, mode="r")
    shapes = {name: array.shape for name, array in group.arrays()}
    assert shapes == {"image": (3, 1, 16, 16), "classes": (3, 16, 16), "weights": (3, 16, 16)}
    (described,) = shared.run(DescribeJob(job="d", config=SMALL))
    assert described.summary["name"] == "unet"
    (checked,) = shared.run(CheckJob(job="c", model=model))
    assert checked.summary["probe_difference"] < 1e-5


def test_a_comparison_is_paused_cancelled_and_keeps_its_rows(
    shared: Client, training: Training, pairs: Pairs, tmp_path: Path
) -> None:
    def order(job: str, **budget: int) -> CompareJob:
        config = training(job, tmp_path, **budget).config
        return CompareJob(
            job=job, config=config, architectures=("unet", "attention"), pairs=pairs,
            folder=str(tmp_path / job), test=pairs[1:],
        )  # fmt: skip

    events = shared.run(order("whole", epochs=1))
    assert [event.done for event in events if isinstance(event, Compared)] == [1, 2]
    assert isinstance(events[-1], Finished)
    rows = [dict(event.row) for event in events if isinstance(event, Compared)]
    assert events[-1].summary["rows"] == rows
    assert json.loads((tmp_path / "whole/comparison.json").read_text())["rows"] == rows
    assert read_card(tmp_path / "whole/attention").model.architecture == "attention"

    shared.send(order("long", **LONG))
    shared.wait_for(Stepped, job="long")
    shared.send(Pause(job="long"), Resume(job="long"), Cancel(job="long"))
    stopped = shared.finish("long")[-1]
    assert stopped == Stopped(str(tmp_path / "long"))
    assert read_card(tmp_path / "long/unet").training["steps"] >= 1
    assert not (tmp_path / "long/attention").exists()


def test_cancel_stops_within_a_step_and_keeps_what_was_learned(
    shared: Client, training: Training, tmp_path: Path
) -> None:
    shared.send(training("a", tmp_path / "m", **LONG))
    shared.wait_for(Stepped)
    shared.send(Cancel(job="another"), Cancel(job="a"))
    events = shared.finish("a")
    assert isinstance(events[-1], Stopped)
    assert events[-1].path == str(tmp_path / "m")
    steps = [event.step for event in events if isinstance(event, Stepped)]
    learned = open_model(tmp_path / "m").card.training["steps"]
    assert learned == (steps[-1] if steps else 1)
    assert load_checkpoint(tmp_path / "m")[1]["step"] == learned


def test_a_cancelled_prediction_is_not_complete(
    shared: Client, model: str, pairs: Pairs, tmp_path: Path
) -> None:
    config = PredictConfig(tile=4, threads=1, device="cpu")
    out = str(tmp_path / "o.zarr")
    job = PredictJob(job="p", model=model, image=pairs[0][0], out=out, config=config)
    shared.send(job, Cancel(job="p"))
    assert isinstance(shared.finish("p")[-1], Stopped)
    assert "complete" not in zarr.open_group(out, mode="r").attrs
    shared.run(job)
    assert zarr.open_group(out, mode="r").attrs["complete"] is True


def test_a_cancelled_prediction_goes_on(
    shared: Client, model: str, pairs: Pairs, tmp_path: Path
) -> None:
    config = PredictConfig(tile=4, threads=1, device="cpu")
    jobs = [
        PredictJob(job=name, model=model, image=pairs[0][0], out=str(tmp_path / out), config=config)
        for name, out in (("parts", "parts.zarr"), ("whole", "whole.zarr"))
    ]
    shared.send(jobs[0])
    shared.wait_for(TileDone)
    shared.send(Cancel(job="parts"))
    first = [e for e in shared.finish("parts") if isinstance(e, TileDone)]
    events = shared.run(jobs[0].model_copy(update={"resume": True}))
    tiles = [event for event in events if isinstance(event, TileDone)]
    assert isinstance(events[-1], Finished)
    assert events[-1].summary["computed"] == len(tiles)
    assert len(first) <= events[-1].summary["tiles"] - len(tiles)
    shared.run(jobs[1])
    parts, whole = (zarr.open_group(job.out, mode="r")["classes"][:] for job in jobs)
    np.testing.assert_array_equal(parts, whole)


def test_tiles_follow_the_last_point_that_is_looked_at(
    shared: Client, model: str, pairs: Pairs, tmp_path: Path
) -> None:
    """Orders wait while the job is held, so that it is known which tiles come after them."""
    config = PredictConfig(tile=4, threads=1, device="cpu")
    job = PredictJob(
        job="p", model=model, image=pairs[0][0], out=str(tmp_path / "o.zarr"), config=config,
        focus=(0.0, 0.0),
    )  # fmt: skip
    shared.send(job)
    shared.wait_for(TileDone)
    points = ((0.0, 55.0), (47.0, 0.0), (47.0, 55.0))
    shared.send(Pause(job="p"), *(Focus(job="p", point=point) for point in points))
    shared.send(Focus(job="another", point=(24.0, 0.0)), Resume(job="p"))
    tiles = [event for event in shared.finish("p") if isinstance(event, TileDone)]
    starts = [np.array(tile.start) for tile in tiles]
    at = next(k for k, start in enumerate(starts) if start.sum() > 40)  # the far corner, of 48x56
    assert tuple(starts[at]) == (44, 52)
    around = np.array(starts[at : at + 9])
    assert np.abs(around - starts[at]).max() <= 12
    assert len({tuple(start) for start in starts}) == len(starts)


def test_a_plan_says_what_a_prediction_takes(
    shared: Client, model: str, pairs: Pairs, tmp_path: Path
) -> None:
    config = PredictConfig(tile=16, threads=1, device="cpu")
    image = pairs[0][0]
    (plan,) = shared.run(PlanJob(job="plan", model=model, image=image, config=config))
    job = PredictJob(job="p", model=model, image=image, out=str(tmp_path / "o.zarr"), config=config)
    done = shared.run(job)[-1]
    assert plan.summary["tiles"] == done.summary["tiles"] == 12
    assert plan.summary["words"].startswith("12 tiles of 16")
    assert plan.summary["seconds"] > 0
    outside = config.model_copy(update={"region": ((0, 48), (50, 60))})
    (failed,) = shared.run(PlanJob(job="plan", model=model, image=image, config=outside))
    assert failed.code == "U150"


def test_the_check_compares_tiles_with_one_piece(shared: Client, model: str, pairs: Pairs) -> None:
    config = PredictConfig(tile=8, threads=1, device="cpu")
    job = CheckTilesJob(job="c", model=model, image=pairs[0][0], config=config, seed=3)
    (found,) = shared.run(job)
    assert isinstance(found, Finished)
    assert found.summary["largest"] <= 1e-4 * found.summary["spread"]


def test_a_paused_job_holds_and_beats_go_on(
    shared: Client, training: Training, tmp_path: Path
) -> None:
    shared.send(training("a", tmp_path / "m", **LONG))
    shared.wait_for(Stepped)
    shared.send(Pause(job="a"), Pause(job="another"))
    asked = len(shared.heard)
    for _ in range(3):
        shared.wait_for(Beat)
    said = kinds([event for _, event in shared.heard[asked:]])
    beats = [k for k, kind in enumerate(said) if kind == "Beat"]
    assert "Stepped" not in said[beats[1] :]  # what was on its way has arrived by then
    shared.send(Resume(job="another"))
    shared.wait_for(Beat)
    assert kinds([shared.heard[-1][1]]) == ["Beat"]
    shared.send(Resume(job="a"))
    shared.wait_for(Stepped, job="a")
    shared.send(Pause(job="a"), Cancel(job="a"))
    assert isinstance(shared.finish("a")[-1], Stopped)


def test_jobs_wait_for_their_turn(shared: Client, training: Training, tmp_path: Path) -> None:
    shared.send(training("first", tmp_path / "m", **LONG))
    shared.wait_for(Stepped)
    shared.send(*(DescribeJob(job=name, config=SMALL) for name in ("second", "third")))
    shared.send(Cancel(job="third"))
    assert isinstance(shared.wait_for(Stopped), Stopped)
    assert shared.heard[-1][0] == "third"
    shared.send(Cancel(job="first"))
    ends = []
    while len(ends) < 2:
        name, event = shared.hear()
        if isinstance(event, Stopped | Finished):
            ends.append((name, type(event)))
    assert ends == [("first", Stopped), ("second", Finished)]


@pytest.mark.parametrize(
    ("line", "job"),
    [
        (b"\n", ""),
        (b"hello\n", ""),
        (b"\xff\xfe\n", ""),
        (b"[" * 100_000 + b"\n", ""),
        (b'{"do": "explode", "job": "x"}\n', "x"),
        (b'{"do": "train", "job": "x"}\n', "x"),
        (b'{"do": "describe", "job": "x", "config": {"architecture": "none"}}\n', "x"),
        (b'{"job": "' + b"x" * (3 * LIMIT_BYTES) + b'"}\n', ""),
    ],
)
def test_a_line_that_is_no_order_fails_and_the_engine_lives(
    shared: Client, line: bytes, job: str
) -> None:
    shared.send_raw(line)
    failed = shared.wait_for(Failed)
    assert shared.heard[-1][0] == job
    assert failed.code == "U150"
    assert isinstance(shared.run(DescribeJob(job="next", config=SMALL))[-1], Finished)
    assert kinds([event for name, event in shared.heard if name == "next"])[-1:] == ["Finished"]


def test_a_failing_job_says_why_and_the_next_one_runs(
    shared: Client, training: Training, model: str, pairs: Pairs, tmp_path: Path
) -> None:
    missing = training("a", tmp_path / "m").model_copy(
        update={"pairs": ((pairs[0][0], pairs[0][1].model_copy(update={"path": "none.tif"})),)}
    )
    (failed,) = shared.run(missing)
    assert (failed.code, failed.details) == ("U126", "")
    out = str(tmp_path / "o.zarr")
    (failed,) = shared.run(PredictJob(job="b", model="nothing", image=pairs[0][0], out=out))
    assert failed.code == "U140"
    (failed,) = shared.run(
        PredictJob(job="c", model=model, image=pairs[0][0], out=out, focus=(1.0,))
    )
    assert failed.code == "U150"
    (failed,) = shared.run(DescribeJob(job="fault", config=SMALL))
    assert (failed.code, failed.what) == ("U001", "KeyError: 'of ours'")
    assert "Traceback" in failed.details
    assert not list(tmp_path.iterdir())
    assert isinstance(shared.run(DescribeJob(job="d", config=SMALL))[-1], Finished)


@pytest.mark.parametrize("deaf", [False, True], ids=["stdin closed", "viewer gone"])
def test_when_the_viewer_goes_the_training_is_kept_and_the_engine_ends(
    start: Callable[[], Client], training: Training, tmp_path: Path, deaf: bool
) -> None:
    client = start()
    waits = training("b", tmp_path / "never", **LONG)
    client.send(training("a", tmp_path / "m", **LONG), waits)
    while client.wait_for(Stepped).step < 2:
        pass
    client.process.stdin.close()
    if deaf:
        client.process.stdout.close()  # the engine notices when it speaks
    else:
        assert kinds(client.read_rest())[-1] == "Stopped"
    assert client.process.wait(10) == 0
    assert open_model(tmp_path / "m").card.training["steps"] >= 2
    assert load_checkpoint(tmp_path / "m") is not None
    assert not (tmp_path / "never").exists()


def test_a_killed_training_goes_on_to_the_same_bits(
    start: Callable[[], Client], shared: Client, training: Training, tmp_path: Path
) -> None:
    victim = start()
    victim.send(training("a", tmp_path / "parts", epochs=4))
    victim.wait_for(Saved)
    os.kill(victim.process.pid, signal.SIGKILL)
    said = victim.read_rest()
    assert not any(isinstance(event, Finished) for event in said)
    again = shared.run(training("b", tmp_path / "parts", epochs=4, resume=True))
    assert any("resumed at step" in e.text for e in again if isinstance(e, Noted))
    shared.run(training("c", tmp_path / "whole", epochs=4))
    parts, whole = (tmp_path / name / "weights.safetensors" for name in ("parts", "whole"))
    assert parts.read_bytes() == whole.read_bytes()
    assert read_card(tmp_path / "parts").training["steps"] == 12
    validated = sum(isinstance(event, Validated) for event in again)
    assert 1 <= validated <= 3
