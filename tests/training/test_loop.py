"""A run learns, repeats itself to the bit, stops when told, and goes on where it stopped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.config import InputError, TrainConfig
from napari_unet.events import Finished, Noted, Prepared, Saved, Started, Stepped, Validated
from napari_unet.inference.model import open_model
from napari_unet.library.checkpoints import load_checkpoint
from napari_unet.library.folders import read_card, read_tensors
from napari_unet.training.loop import train

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {
    "model": {"base": 2, "depth": 1, "norm": "batch", "dropout": 0.2},
    "patch": 16, "batch": 2, "steps_per_epoch": 3, "threads": 1,
}  # fmt: skip


def settings(epochs: int = 3, **changes: object) -> TrainConfig:
    return TrainConfig.from_recipe("quick", **{**SMALL, "epochs": epochs, **changes})


def disks(count: int = 3, size: int = 40) -> list[tuple[np.ndarray, np.ndarray]]:
    """Bright disks on a dark, noisy ground, with their labels."""
    pairs = []
    y, x = np.indices((size, size))
    for seed in range(count):
        rng = np.random.default_rng(seed)
        labels = np.zeros((size, size), np.int32)
        for k in range(1, 4):
            cy, cx = rng.integers(4, size - 4, 2)
            labels[(y - cy) ** 2 + (x - cx) ** 2 < 30] = k
        image = 100 + 80 * (labels > 0) + rng.normal(0, 15, labels.shape)
        pairs.append((image.astype(np.float32), labels))
    return pairs


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def last(folder: Path) -> bytes:
    """The parameters at the end of a run, whether they were the best or not."""
    arrays, _ = load_checkpoint(folder)
    return b"".join(v.tobytes() for k, v in sorted(arrays.items()) if k.startswith("parameters."))


def test_events_tell_the_story(tmp_path: Path) -> None:
    events = list(train(settings(), disks(), tmp_path / "m"))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert events[0].total == 9
    assert [e.step for e in events if isinstance(e, Stepped)] == list(range(1, 10))
    assert [e.epoch for e in events if isinstance(e, Validated)] == [0, 1, 2]
    assert any("held out" in e.text for e in events if isinstance(e, Noted))
    progress = [e.progress for e in events if isinstance(e, Stepped)]
    assert progress == sorted(progress)
    assert progress[-1] == 1


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        list(train(settings(seed=seed), disks(), tmp_path / name))
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "c")


@pytest.mark.parametrize("stop_after", [1, 3, 5, 8])
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path: Path, stop_after: int) -> None:
    list(train(settings(), disks(), tmp_path / "whole"))
    stream = train(settings(), disks(), tmp_path / "parts")
    for event in stream:
        if isinstance(event, Stepped) and event.step == stop_after:
            break
    stream.close()
    assert load_checkpoint(tmp_path / "parts")[1]["step"] == stop_after
    list(train(settings(), disks(), tmp_path / "parts", resume=True))
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    assert last(tmp_path / "parts") == last(tmp_path / "whole")


@pytest.mark.parametrize("left_out", ["optimiser.", "parameters.", "step"])
def test_every_part_of_a_checkpoint_matters(
    tmp_path: Path, left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(train(settings(), disks(), tmp_path / "whole"))
    stream = train(settings(), disks(), tmp_path / "parts")
    for event in stream:
        if isinstance(event, Stepped) and event.step == 4:
            break
    stream.close()
    arrays, state = load_checkpoint(tmp_path / "parts")
    if left_out == "step":
        state["step"] += 1
    for name in list(arrays):
        if name.startswith(left_out):
            arrays[name] = np.ones_like(arrays[name])
    monkeypatch.setattr(
        "napari_unet.training.loop.load_checkpoint", lambda _folder: (arrays, state)
    )
    list(train(settings(), disks(), tmp_path / "parts", resume=True))
    assert last(tmp_path / "parts") != last(tmp_path / "whole")


def test_a_stopped_run_leaves_a_valid_model(tmp_path: Path) -> None:
    stream = train(settings(epochs=50), disks(), tmp_path / "m")
    for event in stream:
        if isinstance(event, Stepped):
            break
    stream.close()
    model = open_model(tmp_path / "m")
    assert model.card.training["steps"] == 1
    result = model.predict(disks()[0][0])
    assert result["classes"].shape == (40, 40)


def test_no_epochs_make_a_valid_untrained_model(tmp_path: Path) -> None:
    list(train(settings(epochs=0), disks(), tmp_path / "m"))
    assert open_model(tmp_path / "m").card.training["steps"] == 0


def test_a_budget_in_minutes_is_kept(tmp_path: Path) -> None:
    config = TrainConfig.from_recipe("quick", **SMALL, minutes=0.03)
    events = list(train(config, disks(), tmp_path / "m"))
    used = read_card(tmp_path / "m").training["elapsed_s"]
    longest = max(e.step for e in events if isinstance(e, Stepped))
    assert 1.8 <= used < 1.8 + 60 / longest + 1  # at most a step and a validation more


@pytest.mark.parametrize(
    ("folder", "kind", "names"),
    [
        ("dsb2018", "instances", ["background", "object"]),
        ("axondeepseg_sem", "classes", ["background", "class 1", "class 2"]),
    ],
)
def test_the_kind_of_real_labels_is_found_and_told(
    tmp_path: Path, data: Path, folder: str, kind: str, names: list[str]
) -> None:
    paths = sorted((data / folder / "labels").glob("*.tif"))[:3:2]  # in one channel both
    pairs = [(data / folder / "images" / path.name, path) for path in paths]
    config = settings(0, labels={"kind": "auto"})
    events = list(train(config, pairs, tmp_path / "m"))
    assert [e.kind for e in events if isinstance(e, Prepared)] == [kind]
    (told,) = [e.text for e in events if isinstance(e, Noted) and "read as" in e.text]
    assert told.endswith(f"read as {kind}")
    card = read_card(tmp_path / "m")
    assert (card.kind, [entry.name for entry in card.classes]) == (kind, names)
    assert told in card.training["notes"]


def test_it_learns(tmp_path: Path) -> None:
    config = settings(epochs=25, model={"base": 4, "depth": 2, "norm": "batch"}, batch=4, patch=32)
    events = list(train(config, disks(6), tmp_path / "m"))
    scores = [e.scores["dice"] for e in events if isinstance(e, Validated)]
    assert max(scores) > 0.85
    card = read_card(tmp_path / "m")
    assert card.training["best"]["dice"] == pytest.approx(max(scores), abs=1e-6)
    names = {"background", "object"}
    assert {c.name for c in card.classes} == names


def test_fine_tuning_starts_from_the_parent(tmp_path: Path) -> None:
    list(train(settings(), disks(), tmp_path / "parent"))
    list(train(settings(epochs=0), disks(), tmp_path / "child", parent=tmp_path / "parent"))
    old, new = (
        read_tensors(tmp_path / n, "weights.safetensors", read_card(tmp_path / n))
        for n in ("parent", "child")
    )
    learned = [k for k in old if not k.endswith(("running_mean", "running_var", "tracked"))]
    assert all(np.array_equal(old[k], new[k]) for k in learned)
    assert read_card(tmp_path / "child").parent.startswith("parent (")


def test_fine_tuning_to_more_classes_replaces_the_head_and_says_so(tmp_path: Path) -> None:
    list(train(settings(), disks(), tmp_path / "parent"))
    three = [(image, np.minimum(labels, 2)) for image, labels in disks()]
    config = settings(epochs=0, labels={"kind": "classes"})
    events = list(train(config, three, tmp_path / "child", parent=tmp_path / "parent"))
    assert any("head was replaced" in e.text for e in events if isinstance(e, Noted))
    assert read_card(tmp_path / "child").model.classes == 3


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    list(train(settings(), disks(), tmp_path / "m"))
    with pytest.raises(InputError, match="U154"):
        list(train(settings(seed=9), disks(), tmp_path / "m", resume=True))


def test_a_model_is_never_overwritten(tmp_path: Path) -> None:
    list(train(settings(), disks(), tmp_path / "m"))
    before = weights(tmp_path / "m")
    with pytest.raises(InputError, match="U131"):
        list(train(settings(seed=9), disks(), tmp_path / "m"))
    assert weights(tmp_path / "m") == before


def test_the_folder_explains_itself(tmp_path: Path) -> None:
    events = list(train(settings(), disks(), tmp_path / "m"))
    folder = tmp_path / "m"
    assert TrainConfig.model_validate_json((folder / "config.json").read_text()).epochs == 3
    rows = (folder / "history.csv").read_text().splitlines()
    assert len(rows) == 1 + sum(isinstance(e, Validated) for e in events)
    text = (folder / "METHODS.md").read_text()
    assert "padded U-Net" in text
    assert "seed 0" in text
    assert set(json.loads((folder / "card.json").read_text())["files"]) == {
        p.name for p in folder.iterdir() if p.is_file() and p.name != "card.json"
    }
    assert sum(isinstance(e, Saved) for e in events) >= 1
    leftovers = [p.name for p in folder.rglob("*") if "tmp" in p.name]
    assert not leftovers


def test_a_loss_that_is_not_finite_is_told_and_the_last_checkpoint_is_kept(tmp_path: Path) -> None:
    config = settings(
        epochs=200, optimiser={"name": "sgd", "rate": 10, "momentum": 0.99, "schedule": "constant"},
        model={"base": 2, "depth": 1, "norm": "none"}, steps_per_epoch=1,
    )  # fmt: skip
    with pytest.raises(InputError, match="U153"):
        list(train(config, disks(), tmp_path / "m"))
    assert load_checkpoint(tmp_path / "m")[1]["step"] >= 1


def test_fine_tuning_keeps_classes_that_the_new_labels_lack(tmp_path: Path) -> None:
    config = settings(epochs=0, labels={"kind": "classes"})
    three = [(image, np.minimum(labels, 2)) for image, labels in disks()]
    list(train(config, three, tmp_path / "parent"))
    two = [(image, labels * (labels == 2)) for image, labels in three]
    events = list(train(config, two, tmp_path / "child", parent=tmp_path / "parent"))
    assert [c.value for c in read_card(tmp_path / "child").classes] == [0, 1, 2]
    assert not any("replaced" in e.text for e in events if isinstance(e, Noted))


def test_a_model_does_not_tell_the_names_of_its_images(tmp_path: Path) -> None:
    image, labels = disks(1, size=100)[0]
    names = [tmp_path / f"secret-{kind}.npy" for kind in ("image", "labels")]
    for name, array in zip(names, (image, labels), strict=True):
        np.save(name, array)
    list(train(settings(epochs=1), [tuple(names)], tmp_path / "m"))
    for path in (tmp_path / "m").iterdir():
        if path.is_file():
            assert b"secret" not in path.read_bytes(), path.name


def test_settings_that_came_later_do_not_keep_a_run_from_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(train(settings(), disks(), tmp_path / "m"))
    arrays, state = load_checkpoint(tmp_path / "m")
    for later in ("oversample", "terms", "plan"):  # as if written before there were any
        del state["config"][later]
    monkeypatch.setattr(
        "napari_unet.training.loop.load_checkpoint", lambda _folder: (arrays, state)
    )
    assert list(train(settings(epochs=4), disks(), tmp_path / "m", resume=True))
    state["config"]["soul"] = True  # as if written by a later version
    with pytest.raises(InputError, match=r"U154.*does not know"):
        list(train(settings(epochs=5), disks(), tmp_path / "m", resume=True))


@pytest.mark.parametrize(
    ("loss", "classes"),
    [("dice", 2), ("tversky", 1), ("focal", 2), ("focal", 1), ("cross_entropy_dice", 1)],
)
def test_every_loss_trains(tmp_path: Path, loss: str, classes: int) -> None:
    model = {"base": 2, "depth": 1, "classes": classes}
    events = list(train(settings(loss=loss, model=model, epochs=1), disks(), tmp_path / "m"))
    assert all(np.isfinite(e.loss) for e in events if isinstance(e, Stepped | Validated))


def test_signals_are_learned_row_by_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((6, 200)) < 0.5).repeat(5, axis=1).astype(np.uint8)
    image = labels + rng.normal(0, 0.2, labels.shape)
    config = settings(
        model={"ndim": 1, "base": 2, "depth": 2}, patch=64, labels={"kind": "classes"}
    )
    list(train(config, [(image, labels)], tmp_path / "m"))
    model = open_model(tmp_path / "m")
    assert model.card.training["images"] == 5
    assert model.predict(image)["classes"].shape == (6, 1000)
