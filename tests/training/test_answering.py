"""A training that is looked at learns the same; one that is corrected learns what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unet.arrays.source import as_picture
from napari_unet.events import Corrected, Doubted, Noted, Previewed, Stepped, Validated
from napari_unet.inference.model import open_model
from napari_unet.library.checkpoints import load_checkpoint
from napari_unet.library.folders import read_card
from napari_unet.library.lineage import lineage
from napari_unet.metrics.course import CORRECTED, Course, Mark
from napari_unet.models.geometry import measure
from napari_unet.training.asking import Correction, Doubts, Losses, Question, View
from napari_unet.training.loop import prepare, train
from tests.training.test_loop import disks, last, settings, weights

if TYPE_CHECKING:
    from pathlib import Path


def ask(stream: Any, question: Question, after: int = 1) -> list[Any]:
    """Run a training to its end; put a question after a number of steps, or of validations."""
    events = []
    event = next(stream)
    try:
        while True:
            events.append(event)
            due = isinstance(event, Stepped) and event.step == after
            event = stream.send(question if due else None)
    except StopIteration:
        return events


def arrays(event: Previewed) -> dict[str, zarr.Array]:
    group = zarr.open_group(event.path, mode="r")
    members = dict(group.members(max_depth=None))
    return {name: found for name, found in members.items() if isinstance(found, zarr.Array)}


def test_looking_changes_no_bit(tmp_path: Path) -> None:
    pairs = disks()
    picture = as_picture(pairs[0][0], 2)
    list(train(settings(), pairs, tmp_path / "alone"))
    for number, question in enumerate(
        (View(picture, (20, 20), str(tmp_path)), Losses(str(tmp_path)), Doubts([picture]))
    ):
        folder = tmp_path / f"looked at {number}"
        events = ask(train(settings(), pairs, folder), question, after=2)
        assert any(isinstance(e, Previewed | Doubted) for e in events)
        assert weights(folder) == weights(tmp_path / "alone")
        assert last(folder) == last(tmp_path / "alone")


def test_a_view_is_answered_at_once_and_after_each_validation(tmp_path: Path) -> None:
    pairs = disks()
    view = View(as_picture(pairs[0][0], 2), (5, 38), str(tmp_path / "out"), pair=0)
    events = ask(train(settings(), pairs, tmp_path / "m"), view, after=2)
    seen = [k for k, e in enumerate(events) if isinstance(e, Previewed)]
    assert isinstance(events[seen[0] - 1], Stepped)
    assert [isinstance(events[k - 1], Validated) for k in seen[1:]] == [True] * 3
    assert len({events[k].path for k in seen}) == len(seen)
    assert [events[k].step for k in seen] == [2, 3, 6, 9]


def test_a_view_is_what_the_model_would_predict(tmp_path: Path) -> None:
    pairs = disks()
    view = View(as_picture(pairs[0][0], 2), (20, 20), str(tmp_path / "out"))
    events = ask(train(settings(epochs=1), pairs, tmp_path / "m"), view, after=3)
    found = arrays([e for e in events if isinstance(e, Previewed)][-1])
    whole = open_model(tmp_path / "m").predict(pairs[0][0])
    assert found["classes"].attrs["offset"] == [0, 0]
    assert found["classes"].attrs["stride"] == [1, 1]
    np.testing.assert_array_equal(found["classes"][:], whole["classes"])
    np.testing.assert_allclose(found["probabilities"][:], whole["probabilities"], atol=1e-5)


@pytest.mark.parametrize(("point", "start"), [((0, 0), (0, 0)), ((599, 300), (216, 108))])
def test_of_a_large_image_the_part_around_the_point_is_seen(
    tmp_path: Path, point: tuple[int, int], start: tuple[int, int]
) -> None:
    large = np.random.default_rng(0).normal(size=(600, 520)).astype(np.float32)
    view = View(as_picture(large, 2), point, str(tmp_path / "out"))
    events = ask(train(settings(epochs=1), disks(), tmp_path / "m"), view)
    found = arrays(next(e for e in events if isinstance(e, Previewed)))["classes"]
    assert found.shape == (384, 384)
    assert tuple(found.attrs["offset"]) == start


def test_the_loss_is_shown_where_it_counts_and_agrees_with_the_validation(tmp_path: Path) -> None:
    pairs = disks()
    plain = {"balance_classes": False, "w0": 0}
    config = settings(epochs=1, loss="cross_entropy", weights=plain)
    stream = train(config, pairs, tmp_path / "m")
    event: Any = next(stream)
    while not isinstance(event, Validated):
        event = next(stream)
    shown = stream.send(Losses(str(tmp_path / "out")))
    run, _ = prepare(config, pairs, tmp_path / "other")
    held = {(s.pair, s.lead): s for s in run.data.validation}
    maps = arrays(shown)
    assert len(maps) == len(held) > 0
    for found in maps.values():
        source = held[found.attrs["pair"], tuple(found.attrs["lead"])]
        np.testing.assert_array_equal(np.isfinite(found[:]), source.weights > 0)
    counted = np.concatenate([found[:][np.isfinite(found[:])] for found in maps.values()])
    assert counted.mean() == pytest.approx(event.loss, rel=1e-4)
    stream.close()


def test_doubts_are_sorted_and_lie_in_their_images(tmp_path: Path) -> None:
    stack = np.random.default_rng(1).normal(size=(3, 70, 90)).astype(np.float32)
    pictures = [as_picture(disks()[0][0], 2), as_picture(stack, 2)]
    events = ask(train(settings(), disks(), tmp_path / "m"), Doubts(pictures, 6), after=9)
    found = next(e for e in events if isinstance(e, Doubted))
    assert len(found.places) == len(found.doubts) == 6
    assert list(found.doubts) == sorted(found.doubts, reverse=True)
    assert all(0 <= doubt <= 1 for doubt in found.doubts)
    for pair, *place in found.places:
        shape = pictures[pair].data.shape
        assert len(place) == len(shape)
        assert all(0 <= p < n for p, n in zip(place, shape, strict=True))


def test_a_correction_goes_on_with_the_same_network_and_the_new_labels(tmp_path: Path) -> None:
    before = disks()
    after = [(image, labels.copy()) for image, labels in before]
    run, _ = prepare(settings(), before, tmp_path / "other")
    learned = run.data.train[0].pair
    after[learned][1][:6] = 9
    list(train(settings(), before, tmp_path / "before"))
    folder = tmp_path / "corrected"
    events = ask(train(settings(), before, folder), Correction(after), after=4)
    (told,) = [e for e in events if isinstance(e, Corrected)]
    assert told.step == 4
    assert 0 < told.pixels <= 7 * 40  # the ridge to what it touches may change, too
    plain = [e.loss for e in list(train(settings(), before, tmp_path / "x")) if _stepped(e)]
    losses = [e.loss for e in events if isinstance(e, Stepped)]
    assert losses[:4] == plain[:4]
    assert losses[4:] != plain[4:]
    card = read_card(folder)
    assert card.training["corrections"] == [{"step": 4, "pixels": told.pixels}]
    assert card.training["split"] == read_card(tmp_path / "before").training["split"]
    assert card.training["fingerprints"] != read_card(tmp_path / "before").training["fingerprints"]


def test_the_model_is_one_that_has_learned_from_the_correction(tmp_path: Path) -> None:
    """However well it did before, on labels that are no more."""
    after = [(image, np.roll(labels, 12, axis=0)) for image, labels in disks()]  # much harder
    able = {"base": 4, "depth": 2, "norm": "batch"}
    many = settings(epochs=8, model=able, patch=32, batch=4, steps_per_epoch=15)
    events = ask(train(many, disks(), tmp_path / "m"), Correction(after), after=100)
    at = next(k for k, e in enumerate(events) if isinstance(e, Corrected))
    scored = [(k, e) for k, e in enumerate(events) if isinstance(e, Validated)]
    assert max(e.scores["dice"] for k, e in scored if k < at) > max(
        e.scores["dice"] for k, e in scored if k > at
    )
    assert read_card(tmp_path / "m").training["best"]["step"] > 100


def test_that_is_so_of_labels_that_were_changed_before_it_was_resumed(tmp_path: Path) -> None:
    after = [(image, np.roll(labels, 12, axis=0)) for image, labels in disks()]
    able = {"base": 4, "depth": 2, "norm": "batch"}
    small = {"model": able, "patch": 32, "batch": 4, "steps_per_epoch": 15}
    list(train(settings(epochs=6, **small), disks(), tmp_path / "m"))
    list(train(settings(epochs=8, **small), after, tmp_path / "m", resume=True))
    assert read_card(tmp_path / "m").training["best"]["step"] > 90


def test_labels_that_changed_before_a_run_is_resumed_are_a_correction(tmp_path: Path) -> None:
    """As such on the card and to the curves; once, however often it is resumed."""
    before = disks()
    after = [before[0], *((image, np.roll(labels, 2)) for image, labels in before[1:])]
    folder, course = tmp_path / "m", Course()
    list(train(settings(1), before, folder))
    for event in train(settings(2), after[::-1], folder, resume=True):
        course.take(event)
    assert read_card(folder).training["corrections"] == [{"step": 3, "images": 2}]
    assert lineage(read_card(folder)) == (
        "Resumed at step 3. Corrected once, labels of 2 images at step 3."
    )
    assert course.marks == [Mark(3, CORRECTED)]
    events = list(train(settings(3), after, folder, resume=True))
    assert read_card(folder).training["corrections"] == [{"step": 3, "images": 2}]
    assert not [e for e in events if isinstance(e, Noted) and e.topic == CORRECTED]


def test_the_images_of_a_run_may_come_in_another_order(tmp_path: Path) -> None:
    list(train(settings(1), disks(), tmp_path / "m"))
    events = list(train(settings(2), disks()[::-1], tmp_path / "m", resume=True))
    assert read_card(tmp_path / "m").training["corrections"] == []
    assert not [e for e in events if isinstance(e, Noted) and "changed since" in e.text]


def test_a_checkpoint_of_an_earlier_version_tells_of_no_correction(tmp_path: Path) -> None:
    list(train(settings(1), disks(), tmp_path / "m"))
    run, _ = prepare(settings(2), disks(), tmp_path / "m", resume=True)
    arrays, state = load_checkpoint(tmp_path / "m")
    state = {k: v for k, v in state.items() if k not in {"fingerprints", "corrections"}}
    run.restore(arrays, state)
    assert (run.relabelled, run.corrections) == (0, [])
    assert run.best


def test_the_same_labels_correct_nothing(tmp_path: Path) -> None:
    list(train(settings(), disks(), tmp_path / "alone"))
    events = ask(train(settings(), disks(), tmp_path / "m"), Correction(disks()), after=4)
    assert next(e for e in events if isinstance(e, Corrected)).pixels == 0
    assert weights(tmp_path / "m") == weights(tmp_path / "alone")
    assert read_card(tmp_path / "m").training["corrections"] == []


def test_a_corrected_run_that_stops_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    after = [(image, np.roll(labels, 1, axis=0)) for image, labels in disks()]
    ask(train(settings(), disks(), tmp_path / "whole"), Correction(after), after=4)
    stream = train(settings(), disks(), tmp_path / "parts")
    question: Question | None = None
    while True:
        event = stream.send(question)
        question = Correction(after) if isinstance(event, Stepped) and event.step == 4 else None
        if isinstance(event, Stepped) and event.step == 5:
            stream.close()
            break
    list(train(settings(), after, tmp_path / "parts", resume=True))
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    assert load_checkpoint(tmp_path / "parts")[1]["corrections"][0]["step"] == 4


def test_what_cannot_be_answered_is_said_and_the_training_goes_on(tmp_path: Path) -> None:
    classes = {"labels": {"kind": "classes"}}
    pairs = [(image, (labels > 0).astype(np.int32)) for image, labels in disks()]
    other = [(image, labels * 2) for image, labels in pairs]
    other[0] = (other[0][0], pairs[0][1] + other[0][1])
    events = ask(train(settings(**classes), pairs, tmp_path / "m"), Correction(other), after=2)
    assert any("the old labels stay" in e.text for e in events if isinstance(e, Noted))
    assert sum(isinstance(e, Stepped) for e in events) == 9
    assert not any(isinstance(e, Corrected) for e in events)


def _stepped(event: object) -> bool:
    return isinstance(event, Stepped)


def test_the_window_is_read_as_the_network_needs_it(tmp_path: Path) -> None:
    assert max(measure(settings().model).margin) < 384  # else a view would be all margin
