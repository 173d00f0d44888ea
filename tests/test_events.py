"""Every event survives a line of JSON; no other line is an event."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.events import Event, Saved, from_line, to_line

KINDS: tuple[type[Any], ...] = Event.__args__
counts, numbers = st.integers(0, 2**53), st.floats(allow_nan=False)
scores = st.dictionaries(st.text(), numbers, max_size=3)
json_values = st.recursive(
    st.none() | st.booleans() | counts | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OF_TYPE = {
    "int": counts,
    "int | None": st.none() | counts,
    "float": numbers,
    "float | None": st.none() | numbers,
    "bool": st.booleans(),
    "str": st.text(),
    "tuple[int, ...]": st.lists(counts, max_size=5).map(tuple),
    "tuple[float, ...]": st.lists(numbers, max_size=5).map(tuple),
    "tuple[tuple[int, ...], ...]": st.lists(
        st.lists(counts, max_size=4).map(tuple), max_size=3
    ).map(tuple),
    "Mapping[str, str]": st.dictionaries(st.text(), st.text(), max_size=3),
    "Mapping[str, float]": scores,
    "Mapping[str, Mapping[str, float]]": st.dictionaries(st.text(), scores, max_size=3),
    "Mapping[str, Any]": st.dictionaries(st.text(), json_values, max_size=3),
}


def events(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Draw any event of one kind."""
    return st.builds(kind, **{f.name: OF_TYPE[str(f.type)] for f in fields(kind)})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_an_event_comes_back_from_its_line(kind: type[Any], data: st.DataObject) -> None:
    event, job = data.draw(events(kind)), data.draw(st.text())
    line = to_line(event, job)
    assert line.splitlines() == [line[:-1]]  # one line, whatever stands in it
    assert from_line(line) == from_line(line.encode()) == (job, event)


@given(st.binary() | json_values.map(json.dumps))
def test_what_is_no_event_is_refused(line: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (JSON's own errors say enough)
        from_line(line)


@pytest.mark.parametrize(
    "record",
    [
        {"event": "Beat"},
        {"job": "a"},
        {"job": "a", "event": "Exploded"},
        {"job": "a", "event": "Beat", "more": 1},
        {"job": "a", "event": "Stepped", "step": 1},
    ],
)
def test_an_event_needs_all_that_belongs_to_it_and_nothing_else(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not an event"):
        from_line(json.dumps(record))


def test_an_event_cannot_change() -> None:
    with pytest.raises(AttributeError):
        Saved("model", step=1).step = 2  # type: ignore[misc]
