"""A prediction by several processes that die on the way, against one in a single process.

`python benchmarks/workers.py` predicts an image with four workers, and kills with SIGKILL: one
worker at 10, 30, 60 and 90 % of the tiles, two at once, all four, the client (who keeps the
ledger), and a scheduler that is not ours; or it stops a worker for 30 s with SIGSTOP, as a network
that stalls would. Where client or scheduler died, the prediction is resumed. Every run must end
with the bytes of the serial one. It needs the extra `distributed` and a system with these signals.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from hashlib import sha256
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import zarr
from large import make
from tables import keep, workers_table

import napari_unet
from napari_unet.arrays.samples import membranes
from napari_unet.config import InputError, PredictConfig
from napari_unet.events import Finished, TileDone
from napari_unet.inference.distributed import predict_distributed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_unet.events import PredictEvent

WORKERS = 4
STALL_S = 30.0
CONFIG = PredictConfig(
    outputs=("classes", "probabilities"), tile=64, threads=1, precision="float32", backend="torch"
)
SCRIPT = f"""
import sys
from napari_unet.config import PredictConfig
from napari_unet.inference.distributed import predict_distributed

if __name__ == "__main__":
    config = PredictConfig.model_validate_json(sys.argv[4])
    for event in predict_distributed(*sys.argv[1:4], config, workers={WORKERS}):
        print(type(event).__name__, flush=True)
"""
Case = tuple[Path, Path, Path]  # model, image, result


def digest(folder: Path) -> str:
    """Return one SHA-256 of all chunks of a result."""
    whole = sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "zarr.json":
            whole.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return whole.hexdigest()


def children(of: int | None = None) -> set[psutil.Process]:
    """Return the living processes below one, or below this one."""
    resource_tracker.ensure_running()  # Python's own: it stays
    found = psutil.Process(of).children(recursive=True)
    return {p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE}


def follow(events: Iterator[PredictEvent], at: float, strike: Callable[[], None]) -> None:
    """Strike when a share of the tiles is done, and see that the prediction finishes."""
    struck = finished = False
    for event in events:
        if isinstance(event, TileDone) and not struck and event.done >= at * event.total:
            struck = True
            strike()
        finished |= isinstance(event, Finished)
    assert struck
    assert finished


def kill_workers(case: Case, at: float, number: int) -> None:
    """Kill some workers of this computer."""
    before = children()

    def strike() -> None:
        for worker in sorted(children() - before, key=lambda p: p.pid)[:number]:
            worker.kill()

    follow(predict_distributed(*case, CONFIG, workers=WORKERS), at, strike)


def stall_worker(case: Case, at: float) -> None:
    """Stop a worker, and let it go on after a while."""
    before = children()

    def strike() -> None:
        worker = min(children() - before, key=lambda p: p.pid)
        worker.suspend()
        threading.Timer(STALL_S, worker.resume).start()

    follow(predict_distributed(*case, CONFIG, workers=WORKERS), at, strike)


def kill_client(case: Case, at: float, total: int) -> None:
    """Kill who hands out the tiles, see that no worker stays, and resume in one process."""
    script = case[2].parent / "client.py"
    script.write_text(SCRIPT)
    words = [sys.executable, script, *case, CONFIG.model_dump_json()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        done = 0
        for line in client.stdout:  # they end when the client does
            done += line.strip() == "TileDone"
            if done >= at * total:
                break
        assert done >= at * total, "the client ended early"
        workers = children(client.pid)
        client.kill()
    _, alive = psutil.wait_procs(list(workers), timeout=60)
    assert not alive, "workers outlived their client"
    resume(case)


@contextmanager
def cluster() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start a scheduler and its workers as somebody else would; yield its address and itself."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        tool = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        words = [*tool, "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        scheduler = subprocess.Popen([*words, "--scheduler-file", str(file)], text=True, **quiet)
        while not file.exists():
            time.sleep(0.1)
        tool = [sys.executable, "-m", "distributed.cli.dask_worker", "--no-dashboard"]
        worker = [*tool, "--scheduler-file", str(file), "--nworkers", str(WORKERS)]
        options = ["--nthreads", "1", "--local-directory", folder, "--death-timeout", "20"]
        workers = subprocess.Popen([*worker, *options], text=True, **quiet)
        try:
            yield json.loads(file.read_text())["address"], scheduler
        finally:
            for process in (workers, scheduler):
                for child in children(process.pid) if process.poll() is None else ():
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
                process.kill()
                process.wait()


def kill_scheduler(case: Case, at: float) -> None:
    """Kill a scheduler that is not ours, see that it is told, and resume in one process."""
    with cluster() as (address, scheduler):
        told = ""
        try:
            follow(predict_distributed(*case, CONFIG, scheduler=address), at, scheduler.kill)
        except InputError as error:
            told = error.code
        assert told == "U160", f"the end of the scheduler was told as {told or 'nothing'}"
    resume(case)


def resume(case: Case) -> None:
    """Compute what the ledger lacks, in this process."""
    missing = int((zarr.open_group(case[2], mode="r")["ledger"][:] == 0).sum())
    (end,) = [e for e in napari_unet.predict(*case, CONFIG, resume=True) if isinstance(e, Finished)]
    assert end.summary["computed"] == missing


def plans(total: int) -> dict[str, Callable[[Case], None]]:
    """Return what can happen, by name."""
    made: dict[str, Callable[[Case], None]] = {}
    for at in (0.1, 0.3, 0.6, 0.9):
        made[f"one worker killed at {at:.0%}"] = lambda case, at=at: kill_workers(case, at, 1)
    for at in (0.3, 0.6):
        made[f"two workers killed at {at:.0%}"] = lambda case, at=at: kill_workers(case, at, 2)
    made["all workers killed at 30%"] = lambda case: kill_workers(case, 0.3, WORKERS)
    made["a worker stopped for 30 s"] = lambda case: stall_worker(case, 0.3)
    made["the client killed at 50%"] = lambda case: kill_client(case, 0.5, total)
    made["the scheduler killed at 30%"] = lambda case: kill_scheduler(case, 0.3)
    return made


def measure(folder: Path, repeats: int, size: int, only: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table."""
    make(folder / "model", 8, 3)
    image, serial = folder / "image.npy", folder / "serial.zarr"
    np.save(image, membranes((size, size), seed=3)[0])
    (end,) = [e for e in napari_unet.predict(folder / "model", image, serial, CONFIG)
              if isinstance(e, Finished)]  # fmt: skip
    expected = digest(serial)
    for order, (name, run) in enumerate(plans(end.summary["tiles"]).items()):
        if only not in name:
            continue
        equal, seconds = 0, []
        for number in range(repeats):
            out = folder / f"{order}-{number}" / "o.zarr"
            out.parent.mkdir()
            began = time.perf_counter()
            run((folder / "model", image, out))
            seconds.append(time.perf_counter() - began)
            equal += digest(out) == expected
        yield {"name": f"workers/{order}", "benchmark": "workers", "order": order, "what": name,
               "runs": repeats, "equal": equal, "seconds": float(np.median(seconds))}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="of the image, in pixels per edge")
    parser.add_argument("--only", default="", help="a part of what is to happen, such as 'client'")
    parser.add_argument("--out", type=Path, help="results, as JSON")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for row in measure(Path(name), arguments.repeats, arguments.size, arguments.only):
            rows.append(row)
            print(f"{row['what']}: {row['equal']} of {row['runs']} equal", flush=True)
            if arguments.out:
                keep(arguments.out, row)
    print(workers_table(rows))
    return 0 if all(row["equal"] == row["runs"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
