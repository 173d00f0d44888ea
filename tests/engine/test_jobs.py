"""Orders to the engine survive a line of JSON; no other line is an order."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.config import RECIPES, InputError, ModelConfig, PredictConfig, TrainConfig
from napari_unet.engine.jobs import (
    LIMIT_BYTES,
    ArrayRef,
    Cancel,
    CheckJob,
    CheckTilesJob,
    CompareJob,
    DescribeJob,
    Focus,
    Order,
    Pause,
    PlanJob,
    PredictJob,
    Resume,
    SamplesJob,
    TrainJob,
    from_line,
    to_line,
)

names = st.text(max_size=20)
references = st.builds(
    ArrayRef,
    path=names,
    axes=st.none() | st.text("TZYXC", max_size=5),
    spacing=st.none() | st.lists(st.floats(0.01, 100), max_size=3).map(tuple),
    name=names,
)
pairs = st.lists(st.tuples(references, references), max_size=3).map(tuple)
predictions = st.builds(
    PredictConfig,
    tile=st.integers(1, 4096) | st.sampled_from(["auto", "rows"]),
    region=st.none() | st.just(((0, 3), (7, 9))),
    outline=st.none() | st.just(((0.5, 1.0), (3.0, 7.25), (9.0, 2.0))),
)
points = st.lists(st.floats(0, 1e6), min_size=1, max_size=5).map(tuple)
trainings = st.sampled_from(sorted(RECIPES)).map(TrainConfig.from_recipe)
orders = st.one_of(
    st.builds(
        TrainJob, job=names, config=trainings, pairs=pairs, folder=names, parent=st.none() | names
    ),
    st.builds(SamplesJob, job=names, config=trainings, pairs=pairs, out=names),
    st.builds(
        PredictJob,
        job=names,
        model=names,
        image=references,
        out=names,
        config=predictions,
        focus=st.none() | points,
        resume=st.booleans(),
        truth=st.none() | references,
    ),
    st.builds(PlanJob, job=names, model=names, image=references, config=predictions),
    st.builds(
        CheckTilesJob,
        job=names,
        model=names,
        image=references,
        config=predictions,
        seed=st.integers(0, 99),
    ),
    st.builds(Focus, job=names, point=points),
    st.builds(DescribeJob, job=names, config=st.builds(ModelConfig, depth=st.integers(1, 8))),
    st.builds(
        CompareJob,
        job=names,
        config=trainings,
        architectures=st.lists(names, max_size=3).map(tuple),
        pairs=pairs,
        folder=names,
        test=st.none() | pairs,
    ),
    st.builds(CheckJob, job=names, model=names),
    *(st.builds(kind, job=names) for kind in (Cancel, Pause, Resume)),
)


@given(orders)
def test_an_order_comes_back_from_its_line(order: Order) -> None:
    line = to_line(order)
    assert line.splitlines() == [line[:-1]]
    assert from_line(line) == from_line(line.encode()) == order


@given(st.binary() | st.text())
def test_what_is_no_order_is_refused(line: str | bytes) -> None:
    with pytest.raises(InputError):
        from_line(line)


@pytest.mark.parametrize(
    "record",
    [
        {"do": "explode", "job": "a"},
        {"do": "cancel"},
        {"do": "cancel", "job": "a", "shell": "ls"},
        {"do": "train", "job": "a", "config": {"epochs": -1}, "pairs": [], "folder": "m"},
    ],
)
def test_a_wrong_order_is_told_in_one_line(record: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        from_line(json.dumps(record))
    assert caught.value.code == "U150"
    assert "\n" not in str(caught.value)


def test_a_line_has_a_limit() -> None:
    with pytest.raises(InputError, match="U150"):
        to_line(CheckJob(job="a", model="m" * LIMIT_BYTES))
    with pytest.raises(InputError, match="U150"):
        from_line(b" " * (LIMIT_BYTES + 1))
