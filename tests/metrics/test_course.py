"""A course keeps every number, and what is done again only once."""

from __future__ import annotations

import csv
import io
import math

from hypothesis import given
from hypothesis import strategies as st

from napari_unet.events import Failed, Finished, Noted, Saved, Started, Stepped, Stopped, Validated
from napari_unet.metrics.course import CORRECTED, Course, Mark
from napari_unet.metrics.tabulate import to_csv
from tests.metrics.courses import course_of, course_of_errors, take_steps


def stepped(step: int, loss: float) -> Stepped:
    return Stepped(step, 0, loss, 0.1, 0.5, 9.0)


@given(st.lists(st.floats(0, 1e6), max_size=60), st.data())
def test_steps_that_are_taken_again_replace_those_before(losses, draw) -> None:
    course = Course()
    for step, loss in enumerate(losses, start=1):
        course.take(stepped(step, loss))
        if step % 5 == 0:
            course.take(Validated(step, step // 5, loss, {"dice": 0.5}, {}, False))
    again = draw.draw(st.integers(1, len(losses) + 1))
    course.take(stepped(again, 7.0))
    steps, values = course.losses
    assert steps.tolist() == list(range(1, again + 1))
    assert values.tolist() == [*losses[: again - 1], 7.0]
    assert [event.step for event in course.validations] == list(range(5, again, 5))
    assert len(course.rates[1]) == again


def test_a_validation_that_is_made_again_counts_once() -> None:
    course = course_of([0.1, 0.2])
    course.take(Validated(1, 1, 0.5, {"dice": 0.3}, {}, False))
    assert course.scores("dice")[1].tolist() == [0.1, 0.3]


def test_classes_have_scores_by_name_and_gaps_where_they_have_none() -> None:
    each = [{"cell": {"dice": 0.5, "jaccard": 0.3}}, {"cell": {"dice": 0.7, "jaccard": 0.5}}]
    course = course_of([0.5, 0.7], classes=each)
    assert course.names == ("cell",)
    assert course.scores("jaccard", "cell")[1].tolist() == [0.3, 0.5]
    assert all(math.isnan(value) for value in course.scores("dice", "no such")[1])
    assert course.has("dice")
    assert not course.has("mae")
    assert course_of_errors([3.0]).has("mae")


def test_the_end_is_known_and_no_time_is_left_then() -> None:
    for end in (Finished(), Stopped(), Failed("U161", "out of memory", "less")):
        course = Course()
        course.take(Started(3))
        course.take(stepped(1, 0.5))
        assert (course.left_s, course.ended) == (9.0, False)
        course.take(end)
        assert (course.left_s, course.ended) == (None, True)
        course.take(Started(3))
        assert (course.failure, course.ended) == (None, False)


def test_what_says_no_number_changes_nothing() -> None:
    course = take_steps(Course(), [0.5])
    before = to_csv(course.table())
    for event in (Noted("a word"), Saved("there", 1), Started(5)):
        course.take(event)
    assert to_csv(course.table()) == before
    assert course.doubts == {}
    course.take(Noted("labels look shifted", "shift"))
    assert course.doubts == {"shift": "labels look shifted"}


def test_the_table_holds_all_numbers_in_their_order() -> None:
    course = take_steps(Course(), [0.5, 0.25])
    each = {"cell, round": {"dice": 0.75}}
    course.take(Validated(2, 0, 0.125, {"dice": 0.7}, each, False))
    course.mark("corrected")
    take_steps(course, [0.2])
    rows = list(csv.DictReader(io.StringIO(to_csv(course.table()))))
    assert [row["step"] for row in rows] == ["1", "2", "2", "2", "3"]
    assert [row["training loss"] for row in rows if row["training loss"]] == ["0.5", "0.25", "0.2"]
    assert rows[2]["validation loss"] == "0.125"
    assert rows[2]["dice of cell, round"] == "0.75"
    assert rows[2]["epoch"] == "1"
    assert rows[3]["mark"] == "corrected"
    assert course.marks == [Mark(2, "corrected")]


def test_what_happens_between_two_steps_is_marked_there_though_steps_are_taken_again() -> None:
    """Of a crash the course knows steps that came after the last checkpoint."""
    course = take_steps(Course(), [0.5, 0.4, 0.3, 0.2])
    course.mark_next("resumed")
    course.take(Noted("the labels of an image changed since", CORRECTED))
    assert (course.marks, course.doubts) == ([], {})
    for step in (3, 4):
        course.take(stepped(step, 0.1))
    assert course.marks == [Mark(2, "resumed"), Mark(2, CORRECTED)]
    assert course.corrected_at == 2


def test_of_what_failed_before_its_first_step_there_is_no_mark() -> None:
    course = take_steps(Course(), [0.5])
    course.mark_next("continued")
    course.take(Failed("U118", "other images", "choose those"))
    course.mark_next("continued")
    take_steps(course, [0.4])
    assert course.marks == [Mark(1, "continued")]


def test_a_course_that_is_cleared_is_a_new_one() -> None:
    course = take_steps(course_of([0.5]), [1.0])
    course.mark("resumed")
    course.mark_next("corrected")
    course.take(Noted("doubt", "rare"))
    course.clear()
    assert vars(course) == vars(Course())
