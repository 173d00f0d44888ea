"""The steps of a network, sorted into the two arms of its U: what a drawing of it needs.

The way from the image to the logits is found first: back from the end, always along the longest
branch, so that skips and shortcuts are left aside. It goes down on the left and up on the right.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_unet.models.tracing import Step

MANY = 4  # convolutions of one kind in a row are drawn as one arrow
MOST_BOXES = 5  # of a stage; more are drawn as the first and the last


@dataclass(slots=True)
class Box:
    """A feature map of the drawing, and how it came from the one before.

    Parameters
    ----------
    by : str
        Kind of arrow that leads to it: conv, one (1x1), down, up; empty for the image.
    layer : str
        Class of the layer that made it.
    channels : int
        Of the map.
    size : list of int
        Cells per axis.
    kernel : list of int
        Taps per axis of the layer.
    times : int
        Layers that the arrow stands for.
    parts : list of int
        Where it was concatenated with a skip, the channels of the parts; else empty.
    skipped : int
        Which of the parts is the skip.
    plus : bool
        Whether something earlier was added to it.
    """

    by: str
    layer: str
    channels: int
    size: list[int]
    kernel: list[int] = field(default_factory=list)
    times: int = 1
    parts: list[int] = field(default_factory=list)
    skipped: int = -1
    plus: bool = False


@dataclass(slots=True)
class Level:
    """A row of the drawing: the feature maps of one stride, of several levels if they share it.

    Parameters
    ----------
    stride : list of int
        Pixels between two cells, per axis.
    left, right : list of Box
        The contracting and the expanding arm; the bottom has no right one.
    skip : str
        What leads from left to right: copy, crop, add, gate; empty for nothing.
    joined : int
        The box of the right arm that the skip enters.
    aside : bool
        Whether its logits join those of the finest level (deep supervision).
    """

    stride: list[int]
    left: list[Box] = field(default_factory=list)
    right: list[Box] = field(default_factory=list)
    skip: str = ""
    joined: int = 0
    aside: bool = False


def find_levels(steps: Sequence[Step], image: Sequence[int]) -> list[dict[str, Any]]:
    """Return the levels of the U as plain dictionaries, finest first; see `Level` and `Box`.

    Parameters
    ----------
    steps : sequence of Step
        From `trace`.
    image : sequence of int
        Its shape (C, *S).
    """
    rows = _Rows(steps, image)
    for i, previous in zip(rows.way, [-1, *rows.way], strict=False):
        rows.go(i)
        for source in steps[i].inputs:
            if source != previous:
                rows.join(i, source)
    finest, *others = rows.levels.values()
    _shorten(finest, ends=1)
    for level in others:
        _shorten(level, ends=0)
    return [asdict(level) for level in rows.levels.values()]


def find_way(steps: Sequence[Step]) -> list[int]:
    """Return the steps from the image to the logits, skips and shortcuts left aside.

    Gates count for nothing, or the way would lead through them.
    """
    gates = {step.owner for step in steps if step.kind == "mul" and len(step.inputs) > 1}
    lengths = {-1: 0}
    for i, step in enumerate(steps):
        ways = [lengths[source] for source in step.inputs]
        gated = any(step.owner == gate or step.owner.startswith(f"{gate}.") for gate in gates)
        lengths[i] = min(ways) if gated else max(ways) + 1
    way, at = [], len(steps) - 1
    while at >= 0:
        way.append(at)
        at = max(steps[at].inputs, key=lambda source: (lengths[source], source))
    return way[::-1]


class _Rows:
    """The levels, filled step by step along the way."""

    def __init__(self, steps: Sequence[Step], image: Sequence[int]) -> None:
        self.steps, self.way = steps, find_way(steps)
        flat = (1,) * (len(image) - 1)
        self._strides = {-1: flat} | {i: step.stride for i, step in enumerate(steps)}
        met = dict.fromkeys([flat, *(self._strides[i] for i in self.way)])
        self.levels = {stride: Level(list(stride)) for stride in met}
        self.levels[flat].left.append(Box("", "", image[0], list(image[1:])))
        self._bottom = next(reversed(met))
        self._turn = next((i for i in self.way if self._strides[i] == self._bottom), 0)
        self._before = flat

    def go(self, i: int) -> None:
        """Draw the next step of the way."""
        step, arm = self.steps[i], self._arm(i)
        if step.stride != self._before:
            arm.append(_box(step, "up" if self._rises(i) else "down"))
        elif step.macs:
            arm.append(_box(step, "conv" if max(step.kernel or (1,)) > 1 else "one"))
        arm[-1].channels, arm[-1].size = step.shape[0], list(step.shape[1:])
        self._before = step.stride

    def join(self, i: int, end: int) -> None:
        """Draw the branch with the last step `end` that joins the way at step `i`.

        It is a skip, a shortcut within a level, or what a coarser level has to say.
        """
        step, box = self.steps[i], self._arm(i)[-1]
        roots, kinds = self._follow(end)
        strides = {self._strides[root] for root in roots}
        left = [root for root in roots if root < self._turn and self._strides[root] == step.stride]
        if self._rises(i) and left:
            level = self.levels[step.stride]
            if not level.skip:  # where levels share a row, the arrow is that of the deepest
                level.joined = len(level.right) - 1
                level.skip = _word(kinds, added=step.kind != "cat")
            if step.kind == "cat":
                box.parts = [self.steps[source].shape[0] for source in step.inputs]
                box.skipped = step.inputs.index(end)
        elif self._rises(i) and step.stride not in strides:
            for stride in strides:
                self.levels[stride].aside = True
        elif step.kind != "cat":
            box.plus = True

    def _rises(self, i: int) -> bool:
        return i > self._turn and self._strides[i] != self._bottom

    def _arm(self, i: int) -> list[Box]:
        level = self.levels[self._strides[i]]
        return level.right if self._rises(i) else level.left

    def _follow(self, end: int) -> tuple[set[int], set[str]]:
        """Return where on the way a branch begins, and what kinds of steps it has."""
        on_way, roots, kinds, open_ends = {-1, *self.way}, set(), set(), [end]
        while open_ends:
            at = open_ends.pop()
            if at in on_way:
                roots.add(at)
            else:
                kinds.add(self.steps[at].kind)
                open_ends.extend(self.steps[at].inputs)
        return roots, kinds


def _word(kinds: Iterable[str], *, added: bool) -> str:
    """Name a skip after what happens on it."""
    if "mul" in kinds:
        return "gate"
    if added:
        return "add"
    return "crop" if "narrow" in kinds else "copy"


def _box(step: Step, by: str) -> Box:
    return Box(by, step.kind, step.shape[0], list(step.shape[1:]), list(step.kernel or ()))


def _shorten(level: Level, ends: int) -> None:
    """Draw long stages as their first and last map; `ends` outer boxes stay: image and logits."""
    level.left[ends:] = _abridge(level.left[ends:])
    stop = len(level.right) - ends
    level.right[:stop] = _abridge(level.right[:stop])
    level.joined = min(level.joined, max(len(level.right) - 1, 0))


def _abridge(boxes: list[Box]) -> list[Box]:
    """Draw many like convolutions as one arrow; a stage that is still long as its two ends."""
    short = boxes[:1]
    for (by, kernel), run in groupby(boxes[1:], key=lambda box: (box.by, tuple(box.kernel))):
        alike = list(run)
        many = by in ("conv", "one") and len(alike) >= MANY
        merged = replace(alike[-1], times=len(alike), kernel=list(kernel))
        short += [merged] if many else alike
    if len(short) <= MOST_BOXES:
        return short
    first, *inner, last = boxes
    widest = max([*inner, last], key=lambda box: max(box.kernel, default=1))
    times = sum(box.kernel == widest.kernel for box in boxes[1:])
    return [first, replace(last, by="conv", layer=widest.layer, kernel=widest.kernel, times=times)]
