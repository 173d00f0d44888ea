"""The child process: orders on stdin, events on stdout, one JSON line each.

One job runs at a time, as a generator of events in the main thread. Between two events it
looks at the orders that came: cancel closes the generator, pause stops asking it, questions are
sent into it (a paused training answers them, and takes no step). A second thread reads stdin, a
third beats once a second. When either end of the talk closes, the viewer is gone: the job is
closed as if it had been cancelled, so that it keeps its work, and whatever does not end by itself
is ended.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from importlib.metadata import version
from typing import TYPE_CHECKING, BinaryIO, TextIO

import psutil

from napari_unet.config import InputError
from napari_unet.engine.jobs import (
    LIMIT_BYTES,
    Ask,
    Cancel,
    Control,
    Correct,
    Focus,
    Order,
    Pause,
    Question,
    Resume,
    TrainJob,
    from_line,
    job_of_line,
)
from napari_unet.engine.work import run_job
from napari_unet.events import Beat, Event, Failed, Finished, Ready, Stopped, to_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unet.engine.jobs import Job
    from napari_unet.engine.work import JobStream

BEAT_S = 1.0
GRACE_S = 5.0  # from the end of stdin to the end of the process
NICENESS = 10  # the window comes first; with nothing else to do, a job has the whole computer


class Server:
    """Runs the jobs that come in on one stream and reports on another."""

    def __init__(self, orders: BinaryIO, events: TextIO) -> None:
        self._orders, self._events = orders, events
        self._inbox: queue.SimpleQueue[Order | None] = queue.SimpleQueue()  # None: nobody is there
        self._speaking = threading.Lock()
        self._gone = threading.Event()  # set when the viewer is
        self._waiting: list[Job] = []
        self._paused = False
        self._questions: list[Question] = []  # not put to the job yet

    def serve(self) -> None:
        """Run jobs until the viewer is gone."""
        with self._speaking:  # Ready comes first, whatever the threads have to say
            threading.Thread(target=self._listen, daemon=True).start()
            threading.Thread(target=self._beat, daemon=True).start()
            self._write(_ready(), "")
        while True:
            order = self._waiting.pop(0) if self._waiting else self._inbox.get()
            if order is None:
                return
            if not isinstance(order, Control):
                self._run(order)

    def _run(self, job: Job) -> None:
        """Run one job to its end, or to its cancellation."""
        self._paused, self._questions = False, []
        try:
            stream = run_job(job)
            for event in self._events_of(stream):
                self._say(event, job.job)
                if not isinstance(event, Finished) and self._told_to_stop(job):
                    stream.close()
                    self._say(Stopped(_place(job)), job.job)
                    return
        except InputError as error:
            self._say(Failed(error.code, error.what, error.remedy), job.job)
        except MemoryError:
            self._say(Failed("U161", "out of memory", "close other programs"), job.job)
        except Exception as error:  # noqa: BLE001 - the boundary: told to the user with the traceback
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            details = traceback.format_exc()
            self._say(Failed("U001", what, "report it with these details", details), job.job)

    def _events_of(self, stream: JobStream) -> Iterator[Event]:
        """Yield the events of a job; questions are sent into it."""
        try:
            yield next(stream)
            while True:
                yield stream.send(self._questions.pop(0) if self._questions else None)
        except StopIteration:
            return

    def _told_to_stop(self, job: Job) -> bool:
        """Obey the orders that came meanwhile; while paused, wait for what can be done."""
        while self._must_wait(job) or not self._inbox.empty():
            match self._inbox.get():
                case None:
                    self._waiting.clear()
                    self._inbox.put(None)  # for `serve`, which then returns
                    return True
                case Cancel(job=name) if name == job.job:
                    return True
                case Cancel(job=name):
                    self._strike(name)
                case Pause(job=name):
                    self._paused = self._paused or name == job.job
                case Resume(job=name):
                    self._paused = self._paused and name != job.job
                case Focus() | Ask() | Correct() as question:
                    self._put(question, job)
                case later:
                    self._waiting.append(later)
        return False

    def _must_wait(self, job: Job) -> bool:
        """Whether nothing can be done for a job but to wait for orders."""
        return self._paused and not (self._questions and isinstance(job, TrainJob))

    def _put(self, question: Question, job: Job) -> None:
        """Keep a question for the job; of where the user looks, only the last counts."""
        if question.job != job.job:
            return
        if isinstance(question, Focus):
            if isinstance(job, TrainJob) and question.image is None:
                return
            self._questions = [q for q in self._questions if not isinstance(q, Focus)]
        self._questions.append(question)

    def _strike(self, name: str) -> None:
        """Drop a job that waits for its turn; one that is not there has ended already."""
        for job in [waiting for waiting in self._waiting if waiting.job == name]:
            self._waiting.remove(job)
            self._say(Stopped(_place(job)), name)

    def _listen(self) -> None:
        for line in _lines(self._orders):
            try:
                self._inbox.put(from_line(line))
            except InputError as error:
                self._say(Failed(error.code, error.what, error.remedy), job_of_line(line))
        self._hang_up()

    def _hang_up(self) -> None:
        """Nobody is there any more: let the job keep its work, and end."""
        if not self._gone.is_set():
            self._gone.set()
            self._inbox.put(None)
            threading.Timer(GRACE_S, os._exit, args=(1,)).start()

    def _beat(self) -> None:
        while not self._gone.wait(BEAT_S):
            self._say(Beat())

    def _say(self, event: Event, job: str = "") -> None:
        with self._speaking:
            self._write(event, job)

    def _write(self, event: Event, job: str) -> None:
        line = to_line(event, job)
        try:
            self._events.write(line)
            self._events.flush()
        except OSError:
            self._hang_up()


def main() -> None:
    """Serve on stdin and stdout; whatever else prints goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the viewer's terminal is the viewer's
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    step_back()
    Server(sys.stdin.buffer, events).serve()
    os._exit(0)  # threads of torch do not hold up the end


def step_back() -> None:
    """Let other programs come first, the window that waits for this one above all."""
    lower = psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else NICENESS
    psutil.Process().nice(lower)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a stream; of one beyond the limit only its beginning is kept."""
    while line := stream.readline(LIMIT_BYTES + 1):
        yield line
        while line and not line.endswith(b"\n"):
            line = stream.readline(LIMIT_BYTES + 1)


def _place(job: Job) -> str:
    return str(getattr(job, "folder", "") or getattr(job, "out", ""))


def _ready() -> Ready:
    """Say what there is. Devices are tried out by the first job: a spare holds no card's memory."""
    from napari_unet.models.device import list_devices

    devices = {device.name: device.title for device in list_devices()}
    return Ready(os.getpid(), next(iter(devices)), {"torch": version("torch")}, devices)
