"""Compiled sweeps along lines of pixels: the two nearest objects, with their squared distances.

Importing this file takes a moment, and the first time on a computer it compiles for some seconds;
`two_nearest` does so when it is first called. The machine code is kept beside the bytecode of
Python, or in the user's cache where that folder cannot be written.

All functions let other threads run. What they compute for a line depends on no other line.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Numbers = NDArray[np.int32]
    Squares = NDArray[np.float32]
    Line = tuple[Squares, Numbers]  # (n,) squared distance to which object
    Envelope = tuple[NDArray[np.int64], NDArray[np.float64]]  # (n,), (n + 1,): see `_envelope`

F = TypeVar("F", bound="Callable[..., Any]")

LINE, LINES = "Tuple((f4[::1], i4[::1]))", "Tuple((f4[:, ::1], i4[:, ::1]))"
ENVELOPE = "Tuple((i8[::1], f8[::1]))"
STRIP = 1024  # columns swept together: what is known of each stays in the cache
NEAR = 24  # pixels to either side of each that are looked at in turn, where objects lie dense
DENSE = 12  # pixels: another object is the nearest after fewer than that, on average


def _compiled(signature: str) -> Callable[[F], F]:
    """Compile a function for its signature, once on a computer if a folder can be written."""
    options = {"nogil": True, "error_model": "numpy"}

    def compile_now(function: F) -> F:
        try:
            made: F = numba.njit(signature, cache=True, **options)(function)
        except (RuntimeError, OSError):  # there is no such folder
            made = numba.njit(signature, **options)(function)
        return made

    return compile_now


@_compiled("void(i4[::1], i4[::1], f4[::1], f4[::1])")
def _begin(near: Numbers, far: Numbers, d1: Squares, d2: Squares) -> None:
    """Forget all that was passed."""
    for x in range(len(near)):
        near[x], far[x], d1[x], d2[x] = 0, 0, np.inf, np.inf


@_compiled("void(i4[::1], i4[::1], i4[::1], f4[::1], f4[::1])")
def _step(labels: Numbers, near: Numbers, far: Numbers, d1: Squares, d2: Squares) -> None:
    """Go on by one row: which object was passed last, which other one before, how long ago."""
    for x in range(len(near)):
        here, before, ago = labels[x], near[x], d1[x] + np.float32(1)
        new = here > 0 and here != before
        far[x] = before if new else far[x]
        d2[x] = ago if new else d2[x] + np.float32(1)
        near[x] = here if new else before
        d1[x] = np.float32(0) if here > 0 else ago


@_compiled("Tuple((i4, i4, f4, f4))(i4, i4, f4, f4, i4, f4)")
def _nearer_two(a: int, b: int, da: float, db: float, c: int, dc: float) -> tuple[Any, ...]:
    """Take object c into the two nearest, a and b; it may be one of them."""
    first, second = c != a and dc < da, c != a and dc < db
    b = a if first else (c if second else b)
    db = da if first else (dc if second else db)
    return c if first else a, b, dc if dc < da else da, db


@_compiled("void(i4[:, ::1], f4[:, :, ::1], i4[:, :, ::1], f8, i8, i8)")
def sweep_columns(
    labels: Numbers, squared: Squares, number: Numbers, step: float, first: int, last: int
) -> None:
    """Find the two nearest objects within each column, from what is above it and what is below.

    Parameters
    ----------
    labels : int32 array, (n, columns)
        Numbers above 0 are objects.
    squared : float32 array, (2, n, columns)
        Is filled with the squared distances, the smaller first; inf where there is no object.
    number : int32 array, (2, n, columns)
        Is filled with the number of either object.
    step : float
        Size of a pixel along the columns.
    first, last : int
        The columns to fill, `last` not included.
    """
    step2 = np.float32(step * step)
    for left in range(first, last, STRIP):
        width = min(STRIP, last - left)
        near, far = np.empty(width, np.int32), np.empty(width, np.int32)
        d1, d2 = np.empty(width, np.float32), np.empty(width, np.float32)
        _begin(near, far, d1, d2)
        for y in range(len(labels)):
            _step(labels[y, left:], near, far, d1, d2)
            for x in range(width):
                number[0, y, left + x], number[1, y, left + x] = near[x], far[x]
                squared[0, y, left + x], squared[1, y, left + x] = d1[x], d2[x]
        _begin(near, far, d1, d2)
        for y in range(len(labels) - 1, -1, -1):
            _step(labels[y, left:], near, far, d1, d2)
            for x in range(width):
                at = left + x
                a, b, da, db = (
                    number[0, y, at],
                    number[1, y, at],
                    squared[0, y, at],
                    squared[1, y, at],
                )
                a, b, da, db = _nearer_two(a, b, da, db, near[x], d1[x])
                a, b, da, db = _nearer_two(a, b, da, db, far[x], d2[x])
                number[0, y, at], number[1, y, at] = a, b
                squared[0, y, at], squared[1, y, at] = da * da * step2, db * db * step2


@_compiled(f"i8(f4[::1], i8, i8, UniTuple(f8, 2), {ENVELOPE})")
def _envelope(
    height: Squares, low: int, high: int, scale: tuple[float, float], envelope: Envelope
) -> int:
    """Find the lower envelope of the parabolas height[q] + step^2 (x - q)^2, low <= q < high.

    Afterwards the i-th position is the apex of the lowest parabola from the i-th start to the next
    one, of `size` in all; the start behind the last is inf (Felzenszwalb and Huttenlocher 2012,
    https://doi.org/10.4086/toc.2012.v008a019). Parabolas as high as the limit are left out.
    """
    position, start = envelope
    step2, limit = scale
    size = 0
    for q in range(low, high):
        if height[q] >= limit:
            continue
        crossing = -np.inf
        while size > 0:
            p = position[size - 1]
            crossing = 0.5 * (p + q)
            if height[p] != height[q]:  # a division takes its time
                crossing += 0.5 * (height[q] - height[p]) / (step2 * (q - p))
            if crossing > start[size - 1]:
                break
            size -= 1
        position[size] = q
        start[size] = crossing if size > 0 else -np.inf
        size += 1
    start[size] = np.inf
    return size


@_compiled(f"void({LINE}, {ENVELOPE}, i8, f8, UniTuple(i8, 2), {LINES}, i8)")
def _draw(
    line: Line,
    envelope: Envelope,
    at: int,
    step2: float,
    span: tuple[int, int],
    drawn: Line,
    k: int,
) -> None:
    """Write the height of an envelope over `span`, and whose it is, from parabola `at` on."""
    (height, number), (position, start) = line, envelope
    for x in range(span[0], span[1]):
        if start[at] == np.inf:  # there is no parabola
            drawn[0][k, x], drawn[1][k, x] = np.inf, 0
            continue
        while start[at + 1] <= x:
            at += 1
        q = position[at]
        drawn[0][k, x], drawn[1][k, x] = height[q] + step2 * (x - q) * (x - q), number[q]


@_compiled(f"void({LINES}, {LINES}, UniTuple(f8, 2), {LINE}, {ENVELOPE}, {ENVELOPE})")
def _sweep_line(
    lines: Line,
    drawn: Line,
    scale: tuple[float, float],
    others: Line,
    lower: Envelope,
    upper: Envelope,
) -> None:
    """Find the two nearest objects along a line, (2, n), from those across it.

    Where the lower envelope belongs to one object, the second nearest is on the envelope of all
    others. Only the parabolas up to the neighbours on the lower envelope can be on that one: what
    lies beyond a neighbour has crossed it. So every parabola is drawn three times at most.
    """
    squared, number = lines
    n = squared.shape[1]
    size = _envelope(squared[0], 0, n, scale, lower)
    begin = 0
    if size == 0:
        _draw((squared[0], number[0]), lower, 0, scale[0], (0, n), drawn, 0)
        _draw((squared[0], number[0]), lower, 0, scale[0], (0, n), drawn, 1)
    while begin < size:
        end, own = begin + 1, number[0, lower[0][begin]]
        while end < size and number[0, lower[0][end]] == own:
            end += 1
        left = max(0, math.ceil(lower[1][begin])) if begin > 0 else 0
        right = min(n, math.ceil(lower[1][end])) if end < size else n
        if left < right:
            low = lower[0][begin - 1] if begin > 0 else 0
            high = lower[0][end] + 1 if end < size else n
            for q in range(low, high):
                k = 1 if number[0, q] == own else 0
                others[0][q], others[1][q] = squared[k, q], number[k, q]
            _envelope(others[0], low, high, scale, upper)
            _draw((squared[0], number[0]), lower, begin, scale[0], (left, right), drawn, 0)
            _draw(others, upper, 0, scale[0], (left, right), drawn, 1)
        begin = end


@_compiled(f"b1({LINES}, i8)")
def _is_dense(wide: Line, n: int) -> bool:
    """Tell whether the nearest object changes often along a line of `n` pixels."""
    _, number = wide
    changes = 0
    for x in range(NEAR + 1, NEAR + n):
        changes += number[0, x] != number[0, x - 1]
    return changes * DENSE > n


@_compiled(f"void({LINE}, {LINE}, {LINE}, {LINE}, f4)")
def _look_aside(left: Line, right: Line, first: Line, second: Line, far: float) -> None:
    """Take into the two nearest of each pixel what is as far away on either side."""
    (squared_l, number_l), (squared_r, number_r) = left, right
    (d1, near), (d2, next_to_it) = first, second
    for x in range(len(d1)):
        a, b, da, db = near[x], next_to_it[x], d1[x], d2[x]
        a, b, da, db = _nearer_two(a, b, da, db, number_l[x], squared_l[x] + far)
        a, b, da, db = _nearer_two(a, b, da, db, number_r[x], squared_r[x] + far)
        near[x], next_to_it[x], d1[x], d2[x] = a, b, da, db


@_compiled(f"b1({LINES}, {LINES}, UniTuple(f8, 2))")
def _look_around(wide: Line, drawn: Line, scale: tuple[float, float]) -> bool:
    """Find the two nearest objects along a line, looking ever further; False if they are too far.

    Where objects lie dense that takes a few steps, each for many pixels at once. `wide` is the
    line with `NEAR` pixels of nothing before and behind it.
    """
    (squared, number), (least, whose), (step2, limit) = wide, drawn, scale
    n = least.shape[1]
    least[:], whose[:] = squared[:, NEAR : NEAR + n], number[:, NEAR : NEAR + n]
    for away in range(1, n):
        far, farthest = step2 * away * away, 0.0
        for x in range(n):
            farthest = max(farthest, float(least[1, x]))
        if far >= min(farthest, limit):
            return True
        if away > NEAR:
            return False
        first, second = (least[0], whose[0]), (least[1], whose[1])
        for k in range(2):
            left = squared[k, NEAR - away :], number[k, NEAR - away :]
            right = squared[k, NEAR + away :], number[k, NEAR + away :]
            _look_aside(left, right, first, second, far)
    return True


@_compiled(f"void(f4[:, :, :, ::1], i4[:, :, :, ::1], UniTuple(i8, 2), {LINES})")
def _read(squared: Squares, number: Numbers, place: tuple[int, int], wide: Line) -> None:
    """Copy a line into the middle of a wider one."""
    for k in range(2):
        for x in range(squared.shape[2]):
            wide[0][k, NEAR + x] = squared[k, place[0], x, place[1]]
            wide[1][k, NEAR + x] = number[k, place[0], x, place[1]]


@_compiled(f"void({LINES}, UniTuple(i8, 2), f4[:, :, :, ::1], i4[:, :, :, ::1])")
def _write(drawn: Line, place: tuple[int, int], squared: Squares, number: Numbers) -> None:
    """Copy a line back to where it belongs."""
    for k in range(2):
        for x in range(squared.shape[2]):
            squared[k, place[0], x, place[1]] = drawn[0][k, x]
            number[k, place[0], x, place[1]] = drawn[1][k, x]


@_compiled("void(f4[:, :, :, ::1], i4[:, :, :, ::1], f8, f8, i8, i8)")
def sweep_lines(
    squared: Squares, number: Numbers, step: float, limit: float, first: int, last: int
) -> None:
    """Take one axis more into the distances to the two nearest objects.

    Parameters
    ----------
    squared : float32 array, (2, before, n, after)
        Squared distances over the axes swept so far; of this axis too afterwards, in place.
    number : int32 array, (2, before, n, after)
        The objects they lead to.
    step : float
        Size of a pixel along the axis.
    limit : float
        Squared distances from here on may come out larger than they are, or as inf.
    first, last : int
        The lines to sweep, counted over before and after; `last` is not included.
    """
    _, _, n, after = squared.shape
    scale = step * step, limit
    width = n + 2 * NEAR  # nothing lies beyond the ends
    wide = np.full((2, width), np.inf, np.float32), np.zeros((2, width), np.int32)
    lines = np.empty((2, n), np.float32), np.empty((2, n), np.int32)
    drawn = np.empty((2, n), np.float32), np.empty((2, n), np.int32)
    others = np.empty(n, np.float32), np.empty(n, np.int32)
    lower = np.empty(n, np.int64), np.empty(n + 1, np.float64)
    upper = np.empty(n, np.int64), np.empty(n + 1, np.float64)
    for line in range(first, last):
        place = line // after, line % after
        _read(squared, number, place, wide)
        if not (_is_dense(wide, n) and _look_around(wide, drawn, scale)):
            lines[0][:], lines[1][:] = wide[0][:, NEAR : NEAR + n], wide[1][:, NEAR : NEAR + n]
            _sweep_line(lines, drawn, scale, others, lower, upper)
        _write(drawn, place, squared, number)
