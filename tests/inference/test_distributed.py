"""Several processes give the bytes of one, whichever of them die on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
import zarr

from napari_unet.config import InputError, PredictConfig
from napari_unet.events import Failed, Finished, Noted, Started, TileDone
from napari_unet.inference.predict import predict

pytest.importorskip("distributed", reason="the extra 'distributed' is not installed")

from distributed import Client, LocalCluster, WorkerPlugin

from napari_unet.inference.distributed import predict_distributed
from napari_unet.inference.distributed_work import Job, Share, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_unet.inference.model import Model

    Models = Callable[..., Model]
    Images = Callable[..., np.ndarray[Any, Any]]

SHAPE = (2, 100, 130)
TILES = 2 * 4 * 5
ALL = ("classes", "probabilities")
PLAIN = {"threads": 1, "precision": "float32", "backend": "torch"}  # no choice by the clock
CONFIG = PredictConfig(outputs=ALL, tile=32, **PLAIN)


@pytest.fixture(scope="module")
def image(picture: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "image.npy"
    np.save(path, picture(*SHAPE))
    return path


@pytest.fixture(scope="module")
def serial(models: Models, image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("serial") / "o.zarr"
    assert list(predict(models().folder, image, out, CONFIG))
    return out


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers behind a scheduler that is not ours, and would try four times."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0, scheduler_port=0
    ) as cluster:
        yield cluster


def files(folder: Path) -> dict[str, str]:
    """The SHA-256 of every chunk of a result."""
    found = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "zarr.json")
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in found}


def children() -> set[int]:
    """The numbers of the processes that were started from here and live."""
    resource_tracker.ensure_running()  # Python's own: it stays
    found = psutil.Process().children(recursive=True)
    return {p.pid for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE}


def done(events: list[Any]) -> list[TileDone]:
    return [event for event in events if isinstance(event, TileDone)]


def test_two_processes_give_the_bytes_of_one(
    models: Models, image: Path, serial: Path, tmp_path: Path, cluster: LocalCluster
) -> None:
    folder, out, address = models().folder, tmp_path / "o.zarr", cluster.scheduler_address
    events = list(predict_distributed(folder, image, out, CONFIG, scheduler=address))
    assert files(out) == files(serial)
    assert events[0] == Started(TILES)
    seen = np.zeros(SHAPE, int)
    for tile in done(events):
        seen[tuple(map(slice, tile.start, tile.stop))] += 1
    assert (seen == 1).all()
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.summary["tiles"], finished.summary["computed"]) == (TILES, TILES)
    again = predict_distributed(folder, image, out, CONFIG, scheduler=address, resume=True)
    (only,) = again
    assert isinstance(only, Finished)
    assert only.summary["computed"] == 0


def test_killed_workers_cost_nothing_but_time(
    models: Models, image: Path, serial: Path, tmp_path: Path
) -> None:
    killed, noted, events, before = 0, [], [], children()
    for event in predict_distributed(
        models().folder, image, tmp_path / "o.zarr", CONFIG, workers=2
    ):
        events.append(event)
        noted += [event.text for event in [event] if isinstance(event, Noted)]
        if len(done(events)) >= (1, 20)[min(killed, 1)] and killed < 2:
            for number in list(children() - before)[: killed + 1]:  # one, later both
                os.kill(number, signal.SIGKILL)
            killed += 1
    assert killed == 2
    assert any("a worker died" in text for text in noted)
    assert isinstance(events[-1], Finished)
    assert files(tmp_path / "o.zarr") == files(serial)


class Poison(WorkerPlugin):
    """Ends the process as soon as one tile is begun."""

    def setup(self, worker: Any) -> None:
        from napari_unet.inference.passes import Passes

        self.begin = begin = Passes.begin

        def begin_or_end(passes: Passes, windows: Any, number: int = 0) -> Any:
            if any((w[0].start, w[1].start) == (64, 96) for w in windows):
                os.kill(os.getpid(), signal.SIGKILL)
            return begin(passes, windows, number)

        Passes.begin = begin_or_end

    def teardown(self, worker: Any) -> None:
        from napari_unet.inference.passes import Passes

        Passes.begin = self.begin


def test_a_tile_that_ends_its_worker_is_left_out_and_named(
    models: Models, image: Path, serial: Path, tmp_path: Path, cluster: LocalCluster
) -> None:
    address, events = cluster.scheduler_address, []
    region = ((0, 1), (0, 100), (0, 130))
    config = CONFIG.model_copy(update={"region": region})
    assert address.startswith("tcp://127.0.0.1")
    with Client(address) as client:
        client.register_plugin(Poison(), name="poison")
        with pytest.raises(InputError, match=r"U161.*1 of 20 tiles.*\[0, 64:96, 96:128\]"):
            events.extend(
                predict_distributed(
                    models().folder, image, tmp_path / "o.zarr", config, scheduler=address
                )
            )
        client.unregister_worker_plugin("poison", nanny=False)
    assert len(done(events)) == 19
    assert (0, 64, 96) not in [tile.start for tile in done(events)]
    assert "complete" not in zarr.open_group(tmp_path / "o.zarr", mode="r").attrs
    (finished,) = [
        event
        for event in predict(models().folder, image, tmp_path / "o.zarr", config, resume=True)
        if isinstance(event, Finished)
    ]
    assert finished.summary["computed"] == 1
    found, whole = (zarr.open_group(path, mode="r") for path in (tmp_path / "o.zarr", serial))
    np.testing.assert_array_equal(found["probabilities"][:], whole["probabilities"][:, :1])


def test_stopping_keeps_what_is_written_and_resuming_computes_the_rest(
    models: Models, image: Path, serial: Path, tmp_path: Path, cluster: LocalCluster
) -> None:
    folder, out, address = models().folder, tmp_path / "o.zarr", cluster.scheduler_address
    events, before = [], children()
    with closing(predict_distributed(folder, image, out, CONFIG, workers=2)) as stream:
        while len(done(events)) < 7:
            events.append(next(stream))
    assert children() == before
    ledger = zarr.open_group(out, mode="r")["ledger"][:]
    assert ledger.sum() == 7
    other = CONFIG.model_copy(update={"outputs": ("classes",)})
    with pytest.raises(InputError, match="U151"):  # it was begun with other outputs
        list(predict_distributed(folder, image, out, other, scheduler=address, resume=True))
    events = list(predict_distributed(folder, image, out, CONFIG, scheduler=address, resume=True))
    assert len(done(events)) == events[-1].summary["computed"] == TILES - 7
    assert files(out) == files(serial)


SCRIPT = """
import sys
from napari_unet.config import PredictConfig
from napari_unet.inference.distributed import predict_distributed

if __name__ == "__main__":
    config = PredictConfig.model_validate_json(sys.argv[4])
    for event in predict_distributed(*sys.argv[1:4], config, workers=2):
        print(type(event).__name__, flush=True)
"""


def test_a_killed_client_leaves_no_worker_and_all_that_its_ledger_says(
    models: Models, image: Path, serial: Path, tmp_path: Path
) -> None:
    folder, out = models().folder, tmp_path / "o.zarr"
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "script.py", folder, image, out, CONFIG.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        for _ in range(9):
            assert client.stdout.readline().strip() in {"Started", "TileDone"}
        workers = psutil.Process(client.pid).children(recursive=True)
        client.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    missing = TILES - int(zarr.open_group(out, mode="r")["ledger"][:].sum())
    assert 0 < missing <= TILES - 7
    events = list(predict(folder, image, out, CONFIG, resume=True))
    assert events[-1].summary["computed"] == missing
    assert files(out) == files(serial)


def test_a_scheduler_that_is_there_is_used_for_any_kind_of_output(
    models: Models, image: Path, tmp_path: Path, cluster: LocalCluster
) -> None:
    folder, address = models("attention").folder, cluster.scheduler_address
    config = PredictConfig(outputs=("instances", "attention"), tile="rows", **PLAIN)
    assert list(predict(folder, image, tmp_path / "one.zarr", config))
    stream = predict_distributed(folder, image, tmp_path / "o.zarr", config, scheduler=address)
    assert [type(event) for event in stream].count(TileDone) == 2
    assert files(tmp_path / "o.zarr") == files(tmp_path / "one.zarr")
    config = CONFIG.model_copy(update={"outputs": ("classes",)})
    assert list(predict(folder, image, tmp_path / "one.tif", config))
    assert list(predict_distributed(folder, image, tmp_path / "o.tif", config, scheduler=address))
    assert (tmp_path / "o.tif").read_bytes() == (tmp_path / "one.tif").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4
    assert len(cluster.scheduler_info["workers"]) == 2  # it goes on without us


def test_where_one_looks_comes_first(
    models: Models, image: Path, tmp_path: Path, cluster: LocalCluster
) -> None:
    stream = predict_distributed(
        models().folder, image, tmp_path / "o.zarr", CONFIG, scheduler=cluster.scheduler_address
    )
    with closing(stream):
        assert isinstance(next(stream), Started)
        first = stream.send((1, 99, 129))
    assert isinstance(first, TileDone)
    assert first.start[0] == 1
    assert min(first.start[1:]) >= 64


def job(model: Model, image: Path, out: Path, config: PredictConfig = CONFIG) -> Job:
    """What workers are told of a prediction that was begun."""
    from napari_unet.inference.task import choose_outputs, make_task, open_image

    with closing(predict(model, image, out, config, focus=(0, 0, 0))) as stream:
        next(stream)
    picture = open_image(image, model)
    task = make_task(model, picture, choose_outputs(config, model), interactive=True)
    return Job(
        model=str(model.folder),
        checksum=model.card.checksum,
        image=str(image),
        place=str(out),
        shape=picture.data.shape,
        config=task.config,
        plan=task.plan,
    )


@pytest.mark.parametrize(
    ("change", "code"), [({"checksum": "0" * 64}, "U141"), ({"shape": (2, 100, 131)}, "U102")]
)
def test_a_worker_that_sees_something_else_says_so(
    models: Models, image: Path, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    share = Share(replace(job(models(), image, tmp_path / "o.zarr"), **change), ((0, 0, 0),))
    failed = fill(share)
    assert isinstance(failed, Failed)
    assert failed.code == code
    assert not zarr.open_group(tmp_path / "o.zarr", mode="r")["ledger"][:].any()


def test_a_worker_fills_its_share_and_leaves_the_ledger_alone(
    models: Models, image: Path, serial: Path, tmp_path: Path
) -> None:
    cells = ((0, 1, 2), (1, 3, 4))
    assert fill(Share(job(models(), image, tmp_path / "o.zarr"), cells)) == ()
    found, whole = (zarr.open_group(path, mode="r") for path in (tmp_path / "o.zarr", serial))
    assert not found["ledger"][:].any()
    filled = np.zeros(SHAPE, bool)
    filled[0, 32:64, 64:96] = filled[1, 96:, 128:] = True
    probabilities = found["probabilities"][:]
    np.testing.assert_array_equal(probabilities, np.where(filled, whole["probabilities"][:], 0))


def test_tiles_that_share_a_chunk_are_refused(models: Models, image: Path, tmp_path: Path) -> None:
    work = job(models(), image, tmp_path / "o.zarr")
    group = zarr.open_group(tmp_path / "o.zarr", mode="r+")
    attributes = group["classes"].attrs.asdict()
    group.create_array(
        "classes", shape=SHAPE, dtype=np.uint8, chunks=(1, 48, 32), attributes=attributes,
        overwrite=True,
    )  # fmt: skip
    failed = fill(Share(work, ((0, 0, 0),)))
    assert isinstance(failed, Failed)
    assert failed.code == "U151"
    assert "tiles of 32 pixels share the chunks of classes, 48 pixels long" in failed.what


@pytest.mark.parametrize(
    ("image_is", "outputs", "out", "code"),
    [("array", ALL, "o.zarr", "U151"), ("path", ("loss",), "o.zarr", "U151"),
     ("path", ALL, "o.png", "U130"), ("path", ("values",), "o.zarr", "U151"),
     ("missing", ALL, "o.zarr", "U126")],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    models: Models,
    image: Path,
    untouched: Path,
    image_is: str,
    outputs: Any,
    out: str,
    code: str,
    cluster: LocalCluster,
) -> None:
    source = {"array": np.zeros(SHAPE), "path": image, "missing": image.parent / "no.npy"}[image_is]
    config = PredictConfig(outputs=outputs, tile=32)
    with pytest.raises(InputError, match=code):
        list(
            predict_distributed(
                models().folder, source, untouched / out, config,
                scheduler=cluster.scheduler_address,
            )
        )  # fmt: skip
