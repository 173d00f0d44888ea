"""The course of a training: every number that its events told, kept whole."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.events import Failed, Finished, Noted, Started, Stepped, Stopped, Validated
from napari_unet.metrics.tabulate import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_unet.events import Event
    from napari_unet.metrics.tabulate import Cell

    Points = tuple[NDArray[np.float64], NDArray[np.float64]]  # steps and values, (N,)


CORRECTED = "corrected"  # the mark of other labels


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened after a step, such as "resumed"."""

    step: int
    text: str


class Course:
    """What one training has said so far; a listener feeds it event by event.

    A run that is resumed from a checkpoint takes some steps again: these replace the ones before.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all: another training begins."""
        self._steps, self._losses, self._rates = array("d"), array("d"), array("d")
        self.validations: list[Validated] = []
        self.marks: list[Mark] = []
        self._next: list[str] = []  # marks whose step is not known yet
        self.doubts: dict[str, str] = {}  # what was noted, by topic
        self.failure: Failed | None = None
        self.left_s: float | None = None
        self.ended = False

    def take(self, event: Event) -> None:
        """Keep what an event tells; those that are not of a training change nothing."""
        match event:
            case Started():
                self.failure, self.ended = None, False
            case Noted(topic=topic) if topic:
                self._note(event)
            case Stepped():
                self._step(event)
            case Validated():
                while self.validations and self.validations[-1].step >= event.step:
                    self.validations.pop()
                self.validations.append(event)
            case Failed():
                self.failure = event
                self.end()
            case Finished() | Stopped():
                self.end()

    def end(self) -> None:
        """Note that no more will come, for the time being."""
        self.left_s, self.ended = None, True
        self._next = []

    def mark(self, text: str) -> None:
        """Remember that something happened after the last step, such as a correction."""
        self.marks.append(Mark(self.last_step, text))

    def mark_next(self, text: str) -> None:
        """Remember what happens before the next step, which may be one that is taken again."""
        self._next.append(text)

    @property
    def last_step(self) -> int:
        """The last step that was taken; 0 before the first."""
        return int(self._steps[-1]) if self._steps else 0

    @property
    def corrected_at(self) -> int | None:
        """The step after which the labels were last corrected, or None."""
        return max((mark.step for mark in self.marks if mark.text == CORRECTED), default=None)

    @property
    def alike(self) -> list[Validated]:
        """The validations on the labels as they are now."""
        at = self.corrected_at
        return [event for event in self.validations if at is None or event.step > at]

    @property
    def losses(self) -> Points:
        """The training loss of every step."""
        return np.array(self._steps), np.array(self._losses)

    @property
    def rates(self) -> Points:
        """The learning rate of every step."""
        return np.array(self._steps), np.array(self._rates)

    @property
    def validation_losses(self) -> Points:
        """The loss of every validation."""
        return self._validated([event.loss for event in self.validations])

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, or the channels of values, that the last validation scored."""
        return tuple(self.validations[-1].classes) if self.validations else ()

    def has(self, score: str) -> bool:
        """Whether the last validation has a score of that name, such as "dice"."""
        return bool(self.validations) and score in self.validations[-1].scores

    def scores(self, score: str, name: str | None = None) -> Points:
        """Return a score of every validation: the mean, or that of one class or channel.

        Parameters
        ----------
        score : str
            A name as in `Validated.scores`.
        name : str, optional
            A class or channel.

        Returns
        -------
        tuple of float64 arrays, (N,)
            Steps and values; NaN where the score is not defined.
        """
        found = (
            event.scores if name is None else event.classes.get(name, {})
            for event in self.validations
        )
        return self._validated([one.get(score, np.nan) for one in found])

    def table(self) -> Table:
        """Lay out all numbers: a row for each step and each validation, in their order."""
        heads = self._heads()
        rows: list[tuple[int, int, tuple[Cell, ...]]] = []
        nothing: tuple[Cell, ...] = (None,) * (1 + len(heads))
        for step, loss, rate in zip(self._steps, self._losses, self._rates, strict=True):
            rows.append((int(step), 0, (int(step), None, loss, rate, *nothing, None)))
        for event in self.validations:
            each = (_scores_of(event, name).get(score) for name, score in heads.values())
            whole = (event.step, event.epoch + 1, None, None, event.loss, *each, None)
            rows.append((event.step, 1, whole))
        rows += [
            (mark.step, 2, (mark.step, None, None, None, *nothing, mark.text))
            for mark in self.marks
        ]
        rows.sort(key=lambda row: row[:2])
        columns = ("step", "epoch", "training loss", "rate", "validation loss", *heads, "mark")
        return Table(columns, tuple(row for *_, row in rows))

    def _heads(self) -> dict[str, tuple[str | None, str]]:
        """Name the columns of the scores: those of the mean, then those of each class."""
        named: dict[str, tuple[str | None, str]] = {}
        for event in self.validations[-1:]:
            named = {score: (None, score) for score in event.scores}
            for name, scores in event.classes.items():
                named |= {f"{score} of {name}": (name, score) for score in scores}
        return named

    def _note(self, event: Noted) -> None:
        """Keep a doubt, or expect the first step on other labels."""
        if event.topic == CORRECTED:
            self.mark_next(CORRECTED)
        else:
            self.doubts[event.topic] = event.text

    def _step(self, event: Stepped) -> None:
        if self._steps and self._steps[-1] >= event.step:
            self._forget(event.step)
        self.marks += [Mark(event.step - 1, text) for text in self._next]
        self._next = []
        self._steps.append(event.step)
        self._losses.append(event.loss)
        self._rates.append(event.rate)
        self.left_s, self.ended = event.left_s, False

    def _forget(self, step: int) -> None:
        """Drop `step` and what came after it: it is done again."""
        keep = int(np.searchsorted(np.array(self._steps), step))
        for column in (self._steps, self._losses, self._rates):
            del column[keep:]
        self.validations = [event for event in self.validations if event.step < step]
        self.marks = [mark for mark in self.marks if mark.step < step]

    def _validated(self, values: list[float]) -> Points:
        steps = np.array([event.step for event in self.validations], np.float64)
        return steps, np.array(values, np.float64)


def _scores_of(event: Validated, name: str | None) -> Mapping[str, float]:
    return event.scores if name is None else event.classes.get(name, {})
