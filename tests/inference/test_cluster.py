"""Workers do one task at a time, on loopback only, and their death is known."""

from __future__ import annotations

import math
import os
import re
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml

from napari_unet.config import InputError

pytest.importorskip("distributed", reason="the extra 'distributed' is not installed")

import dask
from distributed import LocalCluster, Security

from napari_unet.inference.cluster import Workers, cores_of, open_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client


HOW_TO = Path(__file__).resolve().parents[2] / "docs/how-to/cluster.md"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with open_cluster(2, None) as client:
        yield client


def descendants() -> set[psutil.Process]:
    """The processes that were started from here and live."""
    resource_tracker.ensure_running()  # Python's own: it stays
    found = psutil.Process().children(recursive=True)
    return {p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE}


def ended(workers: Workers[Any]) -> list[tuple[Any, Any]]:
    """Wait for one task at least."""
    found: list[tuple[Any, Any]] = []
    while not found:
        found = workers.wait()
    return found


def when_free(workers: Workers[Any], number: int) -> list[str]:
    """Wait until so many workers are there and have nothing to do."""
    while len(workers.free()) < number:
        workers.wait()
    return workers.free()


def test_a_worker_has_one_task_at_a_time(client: Client) -> None:
    workers: Workers[float] = Workers(client, math.sqrt)
    one, other = when_free(workers, 2)
    workers.begin(one, 16.0)
    assert workers.free() == [other]
    assert workers.busy
    assert ended(workers) == [(16.0, 4.0)]
    assert workers.free() == sorted([one, other])
    assert not workers.busy


def test_the_task_that_ended_its_worker_is_known_and_the_worker_comes_back(client: Client) -> None:
    workers: Workers[int] = Workers(client, os._exit)
    before = set(when_free(workers, 2))
    workers.begin(min(before), 9)
    assert ended(workers) == [(9, None)]
    assert len({*when_free(workers, 2)} & before) == 1


def test_what_a_task_raises_is_raised(client: Client) -> None:
    workers: Workers[float] = Workers(client, math.sqrt)
    workers.begin(when_free(workers, 1)[0], -1.0)
    with pytest.raises(ValueError, match=r"nonnegative|math domain"):
        ended(workers)


def test_nothing_listens_beyond_this_computer(client: Client) -> None:
    when_free(Workers(client, math.sqrt), 2)
    ours = [psutil.Process(), *descendants()]
    listening = [c.laddr.ip for p in ours for c in p.net_connections() if c.status == "LISTEN"]
    assert len(listening) >= 3
    assert set(listening) == {"127.0.0.1"}
    assert client.scheduler.addr.startswith("tls://127.0.0.1:")


def test_nobody_without_the_key_of_the_moment_may_connect(client: Client) -> None:
    with (
        pytest.raises(InputError, match="U160"),
        open_cluster(None, client.scheduler.addr.replace("tls", "tcp")),
    ):
        pass


def test_nothing_is_left_of_a_cluster() -> None:
    before = descendants()
    with open_cluster(1, None):
        assert descendants() > before
    assert descendants() == before


@pytest.mark.parametrize(
    ("workers", "scheduler", "code"),
    [
        (None, None, "U151"),
        (2, "tls://there:8786", "U151"),
        (None, "tls://127.0.0.1:1", "U151"),  # no certificates
        (None, "tcp://127.0.0.1:1", "U160"),  # nobody answers
        (None, "tcp://10.0.0.1:8786", "U150"),
        (None, "tcp://there:8786", "U150"),
        (None, "ws://127.0.0.1:8786", "U150"),
        (None, "127.0.0.1:8786", "U150"),
        (None, "tls://", "U150"),
    ],
)
def test_addresses_that_may_not_be_used(
    workers: int | None, scheduler: str | None, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_unet.inference.cluster.PATIENCE_S", 0.5)
    with pytest.raises(InputError, match=code), open_cluster(workers, scheduler):
        pass


@pytest.mark.parametrize("missing", ["distributed", "cryptography"])
def test_without_the_extra_it_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find: Callable[[str], Any] = lambda name: None if name == missing else name  # noqa: E731
    monkeypatch.setattr("napari_unet.inference.cluster.find_spec", find)
    with pytest.raises(InputError, match=r"U151.*napari-unet-lab\[distributed\]"):
        open_cluster(1, None).__enter__()


@pytest.fixture
def certificates(tmp_path: Path) -> Iterator[None]:
    """Settings of dask as the how-to has them, with a certificate of this moment."""
    content = Security.temporary()
    (tmp_path / "cert.pem").write_text(content.tls_ca_file)
    (tmp_path / "key.pem").write_text(content.tls_worker_key)
    page = HOW_TO.read_text("utf-8").replace("/home/me/certificates", tmp_path.as_posix())
    (block,) = re.findall(r"^```yaml\n(.*?)^```", page, re.S | re.M)
    with dask.config.set(dask.config.merge(dask.config.config, yaml.safe_load(block))):
        yield


@pytest.mark.usefixtures("certificates")
def test_with_the_certificates_of_the_how_to_a_scheduler_elsewhere_is_joined() -> None:
    with (
        LocalCluster(
            n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", protocol="tls://"
        ) as cluster,
        open_cluster(None, cluster.scheduler_address) as client,
    ):
        assert Workers(client, math.sqrt).there() == set()


@pytest.mark.usefixtures("certificates")
def test_the_script_of_the_how_to_writes_a_job_for_slurm() -> None:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    page = HOW_TO.read_text("utf-8")
    (script,) = re.findall(r"^```python title=\"slurm.py\"\n(.*?)^```", page, re.S | re.M)
    names: dict[str, Any] = {"__name__": "slurm"}
    exec(compile(script, "slurm.py", "exec"), names)
    with names["start"]() as cluster:
        job = cluster.job_script()
        assert cluster.scheduler_address.startswith("tls://")
    assert "#SBATCH --cpus-per-task=8" in job
    assert "distributed.cli.dask_worker tls://" in job
    assert "--protocol tls://" in job


def test_workers_share_the_cores() -> None:
    assert cores_of(10**6) == 1
    assert cores_of(1) >= 2 * cores_of(2) - 1
