"""The U of a network as a picture: boxes with channels, arrows as in the figure of 2015.

Drawn from the `levels` of a description alone, so that every architecture is drawn by the same
code. The colours are those that read on white and on dark; no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from napari_unet.config import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TIMES, ALPHA = "\N{MULTIPLICATION SIGN}", "\N{GREEK SMALL LETTER ALPHA}"
INK = "#7a8590"  # of words, unless whoever shows the picture gives it another `color`
COLOURS: Mapping[str, str] = {
    "conv": "#4285d6",
    "one": "#14a3a3",
    "down": "#dc5a52",
    "up": "#2fa35f",
    "skip": "#8b95a0",
    "gate": "#d98f1f",
    "aside": "#a06fd0",
}  # the kinds of arrows
MAP = "#4c86dd"  # of a feature map
GAP, WIDE_GAP = 26.0, 46.0  # between two boxes of a row, in units of the drawing
DROP = 62.0  # between two rows
TALLEST, SHORTEST, SHRINK = 132.0, 24.0, 0.68  # heights of the boxes, finest level first
EDGE, TOP = 28.0, 74.0
NARROWEST = 600.0  # for the heading and the legend
LEGEND_ROW = 20.0
SKIPS: Mapping[str, str] = {"copy": "copy", "crop": "crop and copy", "add": "add"}

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box lies."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Its centre along x."""
        return self.x + self.width / 2

    @property
    def right(self) -> float:
        """Its right side."""
        return self.x + self.width

    def at(self, share: float) -> float:
        """Return y at a share of the height."""
        return self.y + share * self.height


def draw(card: Mapping[str, Any]) -> str:
    """Draw a network as an SVG picture.

    Parameters
    ----------
    card : mapping
        From `describe`.

    Returns
    -------
    str
        The text of the SVG file. Elements carry classes: `map` for feature maps, `arrow` with
        the kind of the arrow.
    """
    levels = card["levels"]
    places = _lay_out(levels)
    marks = list(_draw_all(levels, places))
    span = _rightmost(places) + EDGE + (24 if _is_supervised(levels) else 0)
    width = round(max(span, NARROWEST))
    legend, bottom = _legend(levels, width, places[-1][0][0].at(1) + 44)
    height = round(bottom)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" color="{INK}" '
            'font-family="Helvetica, Arial, sans-serif">',
            f"<title>{escape(_title(card))}</title>",
            *_heading(card),
            *marks,
            *legend,
            "</svg>\n",
        ]
    )


def _title(card: Mapping[str, Any]) -> str:
    known = ARCHITECTURES.get(card["name"])
    title = known.title if known else card["name"]
    variant = card["config"].get("variant", "")
    several = known is not None and len(known.variants) > 1
    return f"{title}, {variant}" if several and variant else title


def _heading(card: Mapping[str, Any]) -> Iterator[str]:
    geometry = card["geometry"]
    words = [f"{card['parameters']:,} parameters", f"step {_numbers(geometry['step'])}"]
    if any(geometry["lost"]):
        words.append(f"loses {_numbers(geometry['lost'])} pixels per side")
    else:
        words.append(f"margin {_numbers(geometry['margin'])}")
    yield _text(EDGE, 26, _title(card), size=16, bold=True, anchor="start")
    yield _text(EDGE, 45, "  ·  ".join(words), anchor="start")


def _lay_out(levels: Sequence[Mapping[str, Any]]) -> list[tuple[list[Place], list[Place]]]:
    """Place the boxes: down the left arm, then up the right one; arrows between rows stand."""
    heights = [max(TALLEST * SHRINK**i, SHORTEST) for i in range(len(levels))]
    tops = [TOP + sum(heights[:i]) + i * DROP for i in range(len(levels))]
    first = levels[0]["left"][0]
    middle = EDGE + 10 + _width(first["channels"]) / 2
    lefts: list[list[Place]] = []
    for level, y, height in zip(levels, tops, heights, strict=True):
        lefts.append(_place_row(level["left"], middle, y, height))
        middle = lefts[-1][-1].middle
    rights: list[list[Place]] = []
    for level, y, height in reversed(list(zip(levels, tops, heights, strict=True))):
        rights.append(_place_row(level["right"], middle, y, height) if level["right"] else [])
        middle = rights[-1][-1].middle if rights[-1] else middle
    return list(zip(lefts, reversed(rights), strict=True))


def _place_row(
    boxes: Sequence[Mapping[str, Any]], middle: float, y: float, height: float
) -> list[Place]:
    """Place boxes side by side; the first is centred on `middle`."""
    places: list[Place] = []
    for box in boxes:
        width = _width(box["channels"])
        gap = WIDE_GAP if box["times"] > 1 else GAP
        x = places[-1].right + gap if places else middle - width / 2
        places.append(Place(x, y, width, height))
    return places


def _width(channels: int) -> float:
    return 5 + 2.1 * math.log2(channels + 1)


def _draw_all(
    levels: Sequence[Mapping[str, Any]], places: Sequence[tuple[list[Place], list[Place]]]
) -> Iterator[str]:
    """Yield the marks of the picture, those that lie below others first."""
    for i, (level, (left, right)) in enumerate(zip(levels, places, strict=True)):
        below = (places[i + 1][1] or places[i + 1][0])[-1] if i + 1 < len(levels) else None
        if level["aside"]:
            yield from _aside((right or left)[-1], places[0][1][-1], _rightmost(places) + 16)
        if below:
            yield from _arrow("down", _foot(left[-1]), _head(places[i + 1][0][0]))
            if right:
                yield from _arrow("up", _head(below), _foot(right[0]))
        if level["skip"] and below:
            yield from _skip(level["skip"], left[-1], right[level["joined"]], below)
    for level, arms in zip(levels, places, strict=True):
        for side, arm in zip(("left", "right"), arms, strict=True):
            yield from _draw_arm(level[side], arm, side)


def _draw_arm(
    boxes: Sequence[Mapping[str, Any]], places: Sequence[Place], side: str
) -> Iterator[str]:
    """Yield the boxes of one row of an arm, with channels, sizes and the arrows between them."""
    for k, (box, place) in enumerate(zip(boxes, places, strict=True)):
        if k:
            start, y = places[k - 1], place.at(0.55)
            yield from _arrow(box["by"], (start.right + 3, y), (place.x - 3, y))
            if box["times"] > 1:
                yield _text((start.right + place.x) / 2, y - 7, f"{box['times']} {TIMES}", size=11)
        yield from _map(box, place)
        yield _text(place.middle, place.y - 5, f"{box['channels']:,}")
        if k == 0 or box["size"] != boxes[k - 1]["size"]:
            standing = k == (len(boxes) - 1 if side == "left" else 0)  # an arrow stands below
            anchor = {"left": "end", "right": "start"}[side] if standing else "middle"
            x = place.middle + {"end": -5, "start": 5, "middle": 0}[anchor]
            yield _text(x, place.y + place.height + 13, _area(box["size"]), size=10, anchor=anchor)


def _map(box: Mapping[str, Any], place: Place) -> Iterator[str]:
    """Yield a feature map: a box, in part grey where a skip was concatenated."""
    yield _rect("map", place, MAP)
    if box["parts"]:
        before = sum(box["parts"][: box["skipped"]]) / sum(box["parts"])
        share = box["parts"][box["skipped"]] / sum(box["parts"])
        part = Place(place.x + before * place.width, place.y, share * place.width, place.height)
        yield _rect("part", part, COLOURS["skip"])
    if box["plus"]:
        yield from _sign(place.middle, place.at(1) - 9, "+", MAP)


def _skip(kind: str, start: Place, end: Place, below: Place) -> Iterator[str]:
    """Yield the arrow from the left arm to the right one, and its gate or sum."""
    x, y = end.x - 20, end.at(0.25)
    yield from _arrow("skip", (start.right + 3, y), (end.x - 3, y))
    if kind == "gate":
        path = f"M {below.x - 2:.1f} {below.at(0.2):.1f} H {x:.1f} V {y + 8:.1f}"
        yield _path("signal", path, COLOURS["gate"], dashed=True)
        yield from _sign(x, y, ALPHA, COLOURS["gate"])
    elif kind == "add":
        yield from _sign(x, y, "+", COLOURS["skip"])


def _aside(start: Place, end: Place, x: float) -> Iterator[str]:
    """Yield the way of a level's own logits: out to the right and up to the last map."""
    y = end.at(0.8)
    colour = COLOURS["aside"]
    path = f"M {start.right + 3:.1f} {start.at(0.8):.1f} H {x:.1f} V {y:.1f} H {end.right + 8:.1f}"
    yield '<g class="arrow aside">'
    yield _path("line", path, colour, dashed=True)
    yield _tip((end.right + 3, y), (-1, 0), colour)
    yield "</g>"


def _arrow(kind: str, start: Point, end: Point) -> Iterator[str]:
    """Yield an arrow between two points that lie beside or below one another."""
    length = math.dist(start, end) or 1
    along = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
    neck = (end[0] - 5 * along[0], end[1] - 5 * along[1])
    yield f'<g class="arrow {kind}">'
    path = f"M {start[0]:.1f} {start[1]:.1f} L {neck[0]:.1f} {neck[1]:.1f}"
    yield _path("line", path, COLOURS[kind])
    yield _tip(end, along, COLOURS[kind])
    yield "</g>"


def _legend(levels: Sequence[Mapping[str, Any]], width: float, y: float) -> tuple[list[str], float]:
    """Return the explanation of the arrows in rows of at most `width`, and where it ends."""
    marks, x = [], EDGE
    for kind, words in _explain(levels):
        needed = 34 + 6.1 * len(words)
        if x > EDGE and x + needed > width:
            x, y = EDGE, y + LEGEND_ROW
        if kind in COLOURS:
            marks += [*_arrow(kind, (x, y - 4), (x + 20, y - 4))]
        else:
            marks += [*_sign(x + 10, y - 4, kind, COLOURS["gate"] if kind == ALPHA else MAP)]
        marks.append(_text(x + 26, y, words, size=11, anchor="start"))
        x += needed
    return marks, y + 16


def _explain(levels: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], None]:
    """Return kinds of arrows with words for them, each once, in order of appearance."""
    boxes = [box for level in levels for side in ("left", "right") for box in level[side]]
    said = {
        kind: dict.fromkeys(_words(box) for box in boxes if box["by"] == kind)
        for kind in ("conv", "one", "down", "up")
    }
    skips = dict.fromkeys(level["skip"] for level in levels if level["skip"])
    more: list[tuple[str, str]] = []
    if skips:
        more.append(("skip", ", ".join(SKIPS[name] for name in skips if name != "gate") or "copy"))
    if "gate" in skips:
        more.append((ALPHA, "attention gate"))
    if any(box["plus"] for box in boxes):
        more.append(("+", "plus an earlier map"))
    if _is_supervised(levels):
        more.append(("aside", "deep supervision"))
    plain = [(kind, words) for kind, several in said.items() for words in several]
    return dict.fromkeys([*plain, *more])


def _words(box: Mapping[str, Any]) -> str:
    """Say what made a box."""
    kernel, layer = _times(box["kernel"]), box["layer"]
    if layer.startswith("ConvTranspose"):
        return f"transposed convolution {kernel}"
    if layer.startswith("MaxPool"):
        return f"max-pooling {kernel}"
    if layer.startswith("Upsample"):
        return f"upsampling {TIMES} 2"
    if box["by"] == "down":
        return f"convolution {kernel}, stride 2"
    return f"convolution {kernel}"


def _is_supervised(levels: Sequence[Mapping[str, Any]]) -> bool:
    return any(level["aside"] for level in levels)


def _rightmost(places: Sequence[tuple[list[Place], list[Place]]]) -> float:
    return max(place.right for row in places for arm in row for place in arm)


def _head(place: Place) -> Point:
    """Return the point above a box and its channels."""
    return place.middle, place.y - 19


def _foot(place: Place) -> Point:
    """Return the point below a box."""
    return place.middle, place.at(1) + 4


def _area(size: Sequence[int]) -> str:
    """Write cells per axis: 572² where all are equal."""
    if len(size) > 1 and len(set(size)) == 1:
        return f"{size[0]}{'²³'[len(size) - 2]}"
    return _times(size)


def _times(numbers: Sequence[int]) -> str:
    return f" {TIMES} ".join(map(str, numbers))


def _numbers(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else _times(values)


def _text(
    x: float, y: float, words: str, *, size: int = 12, bold: bool = False, anchor: str = "middle"
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}"{weight} text-anchor="{anchor}" '
        f'fill="currentColor">{escape(words)}</text>'
    )


def _rect(kind: str, place: Place, colour: str) -> str:
    return (
        f'<rect class="{kind}" x="{place.x:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" '
        f'height="{place.height:.1f}" rx="1.5" fill="{colour}" fill-opacity="0.28" '
        f'stroke="{colour}" stroke-width="1.2"/>'
    )


def _sign(x: float, y: float, sign: str, colour: str) -> Iterator[str]:
    """Yield a sign in a circle."""
    yield f'<circle class="sign" cx="{x:.1f}" cy="{y:.1f}" r="6.5" fill="{colour}"/>'
    yield (
        f'<text x="{x:.1f}" y="{y + 3.6:.1f}" font-size="11" font-weight="bold" '
        f'text-anchor="middle" fill="#ffffff">{sign}</text>'
    )


def _path(kind: str, way: str, colour: str, *, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<path class="{kind}" d="{way}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'
    )


def _tip(point: Point, along: Point, colour: str) -> str:
    """Draw the head of an arrow that points to `point`."""
    (x, y), (dx, dy) = point, along
    corners = [(x, y), *((x - 7 * dx + s * 4 * dy, y - 7 * dy - s * 4 * dx) for s in (1, -1))]
    words = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    return f'<polygon points="{words}" fill="{colour}"/>'
