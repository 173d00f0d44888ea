"""What can happen, as small frozen records that survive a line of JSON.

Events carry numbers, names and paths, never arrays. A `match` statement over them is the
whole protocol between the core and whoever listens: window, shell or test.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine is up: its process number, device, versions, and the devices there are."""

    pid: int
    device: str  # what "auto" is, where nothing is wrong with it
    versions: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)  # name: what it is; the fastest first


@dataclass(frozen=True, slots=True)
class Beat:
    """The engine is alive; sent once a second."""


@dataclass(frozen=True, slots=True)
class Started:
    """A job has begun; `total` counts its steps, or is None when time is the budget."""

    total: int | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """Something the user should know: an assumption, a repair, a warning."""

    text: str
    topic: str = ""  # "shift" or "rare": a doubt for the diagnosis; "corrected": for the curves


@dataclass(frozen=True, slots=True)
class Stepped:
    """One gradient step was taken."""

    step: int
    epoch: int
    loss: float
    rate: float
    progress: float  # share of the budget that is used, 0 to 1
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class Validated:
    """The network was scored on held-out data (on training data where nothing is held out)."""

    step: int
    epoch: int
    loss: float
    scores: Mapping[str, float]  # "dice", "jaccard", "precision", "recall": means over foreground;
    # of regression "mse", "rmse", "mae" in the units of the target
    classes: Mapping[str, Mapping[str, float]]  # the same for each class or channel, by name
    best: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint or a model is safely on disk."""

    path: str
    step: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A training has read its images: what the labels are, and what is held out of them."""

    kind: str  # instances, classes or regression
    split: Mapping[str, Any]  # a `SplitCard` as JSON


@dataclass(frozen=True, slots=True)
class Previewed:
    """What a network in training makes of its images by now lies in the zarr group at `path`.

    Each array says in its attributes which pair it belongs to (`pair`; -1: none), on which
    leading index (`lead`) and at which pixel it begins (`offset`).
    """

    about: str  # "view": around where the user looks; "loss": of what is held out
    step: int
    path: str


@dataclass(frozen=True, slots=True)
class Doubted:
    """Where a network in training is least sure, the worst place first.

    A place is (pair, leading index ..., pixel ...); its doubt is the mean entropy around it over
    that of a guess, 0 to 1.
    """

    step: int
    places: tuple[tuple[int, ...], ...]
    doubts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Corrected:
    """A training goes on with other labels, of which so many pixels differ."""

    step: int
    pixels: int


@dataclass(frozen=True, slots=True)
class TileDone:
    """A tile of a prediction was written; `start` and `stop` are its corners in the result.

    The corners have one number for each leading axis (position in a stack, `stop = start + 1`)
    and one for each spatial axis.
    """

    done: int
    total: int
    start: tuple[int, ...]
    stop: tuple[int, ...]
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class Advanced:
    """A part of a tile was computed; sent now and then, so that a job can be stopped within one."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One network of a comparison was trained and scored; `row` is its line of the table."""

    architecture: str
    row: Mapping[str, Any]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The job is done; `path` is what it made, `summary` its numbers."""

    path: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job ended early on request; what was reached is kept at `path`."""

    path: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job could not be done: code, what happened, what to do, and details for a report."""

    code: str
    what: str
    remedy: str
    details: str = ""


Event = (
    Ready | Beat | Started | Noted | Stepped | Validated | Saved | Prepared | Previewed
    | Doubted | Corrected | TileDone | Advanced | Compared | Finished | Stopped | Failed
)  # fmt: skip
TrainEvent = (
    Started
    | Noted
    | Stepped
    | Validated
    | Saved
    | Prepared
    | Previewed
    | Doubted
    | Corrected
    | Finished
)
CompareEvent = TrainEvent | Compared
PredictEvent = Started | Noted | TileDone | Advanced | Finished

_KINDS: Mapping[str, type[Any]] = {kind.__name__: kind for kind in Event.__args__}


def to_line(event: Event, job: str = "") -> str:
    """Write an event as one line of JSON, with the job it belongs to."""
    return json.dumps({"job": job, "event": type(event).__name__, **asdict(event)}) + "\n"


def from_line(line: str | bytes) -> tuple[str, Event]:
    """Read back `(job, event)`; raises ValueError for a line that is no event."""
    record = json.loads(line)
    try:
        job, kind = record.pop("job"), _KINDS[record.pop("event")]
        return job, kind(**{name: _frozen(value) for name, value in record.items()})
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not an event: {line!r}") from error


def _frozen(value: Any) -> Any:
    """Turn lists, which is what JSON makes of tuples, into tuples again, however deep."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
