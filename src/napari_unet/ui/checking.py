"""Whether tiles give what one piece gives: asked of the engine, told in words."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_unet.config import InputError
from napari_unet.engine.jobs import CheckTilesJob
from napari_unet.events import Failed, Finished, Stopped
from napari_unet.ui.background import Background
from napari_unet.ui.prediction import hand_over

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_unet.engine.jobs import ArrayRef
    from napari_unet.events import Event
    from napari_unet.ui.message import Message
    from napari_unet.ui.prediction import Request

ROUNDING = 1e-2  # of the spread of the logits: more is worth a look, also in half precision


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a check ended, in words."""

    words: str = ""
    doubtful: bool = False
    error: InputError | None = None

    def tell(self, message: Message) -> None:
        """Say it to the user."""
        if self.error is not None:
            message.error(self.error)
        elif self.doubtful:
            message.warn(self.words)
        else:
            message.news(self.words)


class TileCheck(QObject):
    """Predict a random window in tiles, and once more as one piece; compare them."""

    submitted = Signal(object)  # CheckTilesJob: for the engine
    refused = Signal(Exception)  # the image could not be handed over

    def __init__(self, scratch: Path, parent: QObject) -> None:
        super().__init__(parent)
        self._scratch = scratch
        self.job = uuid.uuid4().hex
        self._request: tuple[str, Any] = "", None
        self._seed = 0  # another window each time
        self._copying = Background(self)
        self._copying.done.connect(self._on_copied)
        self._copying.failed.connect(self.refused)

    def begin(self, request: Request) -> str:
        """Hand an image to the engine; return the name of the job."""
        self.job, self._seed = uuid.uuid4().hex, self._seed + 1
        self._request = request.folder, request.config
        self._copying.run(hand_over, request, self._scratch)
        return self.job

    def stop(self) -> None:
        """Stop copying."""
        self._copying.stop()

    def verdict(self, event: Event) -> Verdict | None:
        """Return how the check ended; None for an event that is not its end."""
        match event:
            case Finished(summary=summary):
                return judge(summary)
            case Stopped():
                return Verdict("stopped; nothing was compared")
            case Failed(code=code, what=what, remedy=remedy):
                return Verdict(error=InputError(code, what, remedy))
        return None

    def _on_copied(self, references: tuple[ArrayRef, object]) -> None:
        folder, config = self._request
        job = CheckTilesJob(
            job=self.job, model=folder, image=references[0], config=config, seed=self._seed
        )
        self.submitted.emit(job)


def judge(found: Mapping[str, Any]) -> Verdict:
    """Say what a check found: the largest difference, and in which window of the image.

    Parameters
    ----------
    found : mapping
        From `inference.check.check_tiles`.
    """
    share = found["largest"] / (found["spread"] or 1.0)
    at = [str(k) for k in found["lead"]]
    at += [f"{start} to {stop - 1}" for start, stop in found["window"]]
    changed = f"{found['changed']:,} of {found['pixels']:,} pixels change"
    words = (
        f"tiles and one piece differ by at most {share:.1g} of the spread of the logits; "
        f"{changed if found['changed'] else 'no pixel changes'} (looked at {', '.join(at)})"
    )
    return Verdict(words, doubtful=not share <= ROUNDING)
