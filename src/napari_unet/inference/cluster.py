"""Worker processes, on this computer or behind a dask scheduler, each with at most one task."""

from __future__ import annotations

import ipaddress
import logging
import os
import tempfile
import uuid
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from distributed import Client, Future

EVERY_S = 1.0  # how often is looked whether a worker is gone
PATIENCE_S = 10.0  # for an answer that is there, and for a scheduler
START_S = 120.0  # that a worker of this computer may take to start
GONE = frozenset({"closing", "closed", "failed"})  # of what starts a worker again when it dies
LOCAL = "127.0.0.1"  # nothing outside of this computer reaches it
NO_PAGES: Mapping[str, Any] = {  # no web page of the cluster's state
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}

Task = TypeVar("Task", bound="Hashable")


class Workers(Generic[Task]):
    """The workers of a cluster; they come and go.

    Each has one task at a time: so it is known which one was running when a worker died, whatever
    the scheduler itself would try.

    Parameters
    ----------
    client : Client
        Connected to the scheduler.
    work : callable
        Takes a task; runs in the worker.
    """

    def __init__(self, client: Client, work: Callable[[Task], Any]) -> None:
        self._client, self._work = client, work
        self._running: dict[str, tuple[Future, str, Task]] = {}
        self._over: SimpleQueue[Future] = SimpleQueue()

    def there(self) -> set[str]:
        """Return the addresses of all workers.

        Raises InputError U160 when the scheduler is gone.
        """
        try:
            return set(self._client.nthreads())
        except (OSError, TimeoutError) as error:
            raise _no_scheduler(self._client.scheduler.addr, error) from error

    def free(self) -> list[str]:
        """Return the addresses of the workers that have nothing to do."""
        return sorted(self.there() - {address for _, address, _ in self._running.values()})

    def ended(self, alone_s: float) -> bool:
        """Tell whether the workers were started here, and none will come back.

        Parameters
        ----------
        alone_s : float
            For how long none was there.
        """
        cluster = self._client.cluster
        if cluster is None:
            return False
        states = {worker.status.name for worker in cluster.workers.values()}
        return states <= GONE or alone_s > START_S

    @property
    def busy(self) -> int:
        """How many tasks are running."""
        return len(self._running)

    def begin(self, address: str, task: Task) -> None:
        """Have one worker do a task."""
        key = f"{task}-{uuid.uuid4().hex}"
        future = self._client.submit(
            self._work, task, key=key, workers=[address], allow_other_workers=False, pure=False
        )
        self._running[key] = (future, address, task)
        future.add_done_callback(self._over.put)

    def wait(self) -> list[tuple[Task, Any]]:
        """Wait a while; return the tasks that ended, with their answers; None: its worker died.

        What a task raised is raised here.
        """
        ended = []
        with suppress(Empty):
            future = self._over.get(timeout=EVERY_S)
            while True:
                ended += self._answer(future)
                future = self._over.get_nowait()
        there = self.there()
        for key, (_, address, task) in list(self._running.items()):
            if address not in there:
                self._forget(key)
                ended.append((task, None))
        return ended

    def cancel(self) -> None:
        """Give up what is running."""
        for key in list(self._running):
            self._forget(key)

    def _answer(self, future: Future) -> list[tuple[Task, Any]]:
        from distributed import KilledWorker

        if future.key not in self._running:
            return []
        task = self._running[future.key][-1]
        try:
            error = future.exception(timeout=PATIENCE_S)  # to ask for the result prints a traceback
            answer = None if error else future.result(timeout=PATIENCE_S)
        except TimeoutError:  # its worker died before it could hand over the answer
            return []
        self._forget(future.key)
        if error and not isinstance(error, KilledWorker):
            raise error
        return [(task, answer)]

    def _forget(self, key: str) -> None:
        future, _, _ = self._running.pop(key)
        future.cancel()


@contextmanager
def open_cluster(workers: int | None, scheduler: str | None) -> Iterator[Client]:
    """Start workers on this computer, or join a scheduler; nothing of it is left at the end.

    Workers of this computer listen on loopback only, encrypted by a key of this moment: no other
    user can send them programs.

    Parameters
    ----------
    workers : int or None
        How many processes.
    scheduler : str or None
        An address such as tls://login.cluster:8786; its certificates are in dask's settings.

    Raises
    ------
    InputError
        U151 without the extra, with both or none of the two, without certificates; U150 for an
        address that may not be used; U160 when the workers do not start, or the scheduler does not
        answer.
    """
    if (workers is None) == (scheduler is None):
        what = "workers of this computer or a scheduler"
        raise InputError("U151", f"no choice between {what}", "give one of the two")
    if find_spec("distributed") is None or find_spec("cryptography") is None:
        what = "workers need the packages distributed and cryptography"
        raise InputError("U151", what, "pip install 'napari-unet-lab[distributed]'")
    with _start(workers or 1) if scheduler is None else _join(scheduler) as client:
        yield client


def cores_of(workers: int) -> int:
    """Return how many cores of this computer each of some workers has."""
    return max(1, _cores() // workers)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _start(workers: int) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        stack.enter_context(dask.config.set(dict(NO_PAGES)))
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host=LOCAL,
                dashboard_address=f"{LOCAL}:0",
                security=True,
                memory_limit=0,  # the plan bounds it
                silence_logs=logging.CRITICAL,
                local_directory=folder,
                # which task is tried again is decided here
                scheduler_kwargs={"dashboard": False, "allowed_failures": 0},
            )
        except (RuntimeError, TimeoutError) as error:
            remedy = 'have a script begin below `if __name__ == "__main__":`: workers import it'
            raise InputError("U160", f"the workers did not start ({error})", remedy) from error
        stack.enter_context(cluster)
        yield stack.enter_context(Client(cluster, set_as_default=False))


@contextmanager
def _join(scheduler: str) -> Iterator[Client]:
    from distributed import Client, Security
    from distributed.utils import silence_logging_cmgr

    _check_address(scheduler)
    security = Security()
    if scheduler.startswith("tls://") and not security.tls_ca_file:
        what = f"no certificates for {scheduler}"
        raise InputError("U151", what, "name them in dask's settings, distributed.comm.tls")
    try:
        client = Client(scheduler, security=security, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise _no_scheduler(scheduler, error) from error
    with silence_logging_cmgr(logging.CRITICAL), client:  # when it is gone, we say so ourselves
        yield client


def _check_address(scheduler: str) -> None:
    """Refuse a connection that others could listen to, or send programs through."""
    parts = urlsplit(scheduler)
    if parts.scheme == "tls" and parts.hostname:
        return
    if parts.scheme == "tcp" and _is_loopback(parts.hostname or ""):
        return
    raise InputError(
        "U150",
        f"scheduler {scheduler!r} is not encrypted: whoever reaches it can run programs as you",
        "give it certificates and an address that begins with tls://",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _no_scheduler(address: str, error: Exception) -> InputError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(
        "U160", f"no scheduler at {address} ({reason})", "check that it runs, and its address"
    )
