"""A comparison: every network as if trained alone, scored on the same pixels, one row each."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_unet.arrays.samples import touching_cells
from napari_unet.config import ARCHITECTURES, InputError, ModelConfig, TrainConfig
from napari_unet.events import Compared, Finished, Noted, Started, Stepped, Validated
from napari_unet.inference.compare import compare, settings_for
from napari_unet.inference.model import open_model
from napari_unet.library.folders import read_card
from napari_unet.metrics.evaluate import evaluate
from napari_unet.training.loop import train
from napari_unet.training.run import Run

if TYPE_CHECKING:
    from pathlib import Path

EVERY = [
    f"{name}:{variant}" if k else name
    for name, a in ARCHITECTURES.items()
    for k, variant in enumerate(a.variants)
]
CELLS = [touching_cells((80, 72), seed=seed) for seed in range(3)]


def tiny(**changes: Any) -> TrainConfig:
    """Settings of a run of two steps."""
    small = {
        "model": {"base": 2, "depth": 1}, "patch": 16, "batch": 2, "steps_per_epoch": 2,
        "threads": 1, "device": "cpu", "epochs": 1, "validation": 0.4,
    }  # fmt: skip
    return TrainConfig.from_recipe("quick", **{**small, **changes})


@pytest.fixture(autouse=True)
def threads() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """A comparison of two networks on the images that were held out: its folder and events."""
    folder = tmp_path_factory.mktemp("comparison") / "c"
    return folder, list(compare(tiny(), ["unet", "residual:zhang2018"], CELLS, folder))


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "comparison.json").read_text())["rows"])


@pytest.mark.parametrize("name", EVERY)
def test_every_network_gets_the_size_and_its_own_paper(name: str) -> None:
    config = tiny(model={"base": 4, "depth": 2, "norm": "batch"}, seed=5)
    found = settings_for(config, name)
    architecture, _, variant = name.partition(":")
    own = ModelConfig(architecture=architecture, variant=variant)
    assert (found.model.architecture, found.model.base, found.model.depth) == (architecture, 4, 2)
    kept = {"base": 4, "depth": 2}
    if "norm" in ARCHITECTURES[architecture].options:
        kept["norm"] = "batch"
    assert found.model == ModelConfig.model_validate(own.model_dump() | kept)
    assert found == config.model_copy(update={"model": found.model})


def test_the_story_of_each_is_told_and_ends_in_its_row(done: tuple[Path, list[Any]]) -> None:
    folder, events = done
    assert isinstance(events[0], Started)
    told = [event.text for event in events if isinstance(event, Noted)]
    assert [text for text in told if ": network " in text] == [
        "unet: network 1 of 2", "residual:zhang2018: network 2 of 2",
    ]  # fmt: skip
    compared = [event for event in events if isinstance(event, Compared)]
    assert [(c.architecture, c.done, c.total) for c in compared] == [
        ("unet", 1, 2), ("residual:zhang2018", 2, 2),
    ]  # fmt: skip
    assert sum(isinstance(event, Validated) for event in events) == 2
    assert [event for event in events if isinstance(event, Finished)] == [
        Finished(str(folder), {"rows": [dict(c.row) for c in compared]})
    ]


def test_rows_say_what_was_measured(done: tuple[Path, list[Any]]) -> None:
    folder, _ = done
    for row, place in zip(rows_of(folder), ("unet", "residual-zhang2018"), strict=True):
        model = open_model(folder / place, "cpu")
        config = model.card.model
        assert (row["model"], row["architecture"], row["variant"]) == (
            place, config.architecture, config.variant,
        )  # fmt: skip
        assert row["parameters"] == sum(p.numel() for p in model.network.parameters())
        assert row["steps"] == model.card.training["steps"] == 2
        measured = ("train_s", "cpu_s", "memory_mib", "predict_s_per_megapixel")
        assert all(row[key] > 0 for key in measured)
    with (folder / "comparison.csv").open(newline="") as lines:
        table = list(csv.DictReader(lines))
    assert [float(row["dice"]) for row in table] == [row["dice"] for row in rows_of(folder)]


def test_the_score_is_that_of_the_last_validation(done: tuple[Path, list[Any]]) -> None:
    folder, events = done
    validated = [event for event in events if isinstance(event, Validated)]
    for row, event in zip(rows_of(folder), validated, strict=True):
        for score, value in event.scores.items():
            assert row[score] == pytest.approx(value, abs=1e-6)
        for name, scores in event.classes.items():
            assert row[f"{name}: dice"] == pytest.approx(scores["dice"], abs=1e-6)


def test_each_is_trained_as_if_alone(done: tuple[Path, list[Any]], tmp_path: Path) -> None:
    folder, _ = done
    for name in ("unet", "residual:zhang2018"):
        list(train(settings_for(tiny(), name), CELLS, tmp_path / name[:4]))
        alone, compared = (
            (path / "weights.safetensors").read_bytes()
            for path in (tmp_path / name[:4], folder / name.replace(":", "-"))
        )
        assert alone == compared


def test_test_images_are_scored_as_they_will_be_predicted(tmp_path: Path) -> None:
    config = tiny(labels={"kind": "classes"})
    pairs = [(image, labels % 3 * 7) for image, labels in CELLS]  # 0, 7, 14
    list(compare(config, ["unet"], pairs[:2], tmp_path / "c", test=pairs[2:]))
    (row,) = rows_of(tmp_path / "c")
    found = open_model(tmp_path / "c/unet", "cpu").predict(pairs[2][0])["classes"]
    scores = evaluate(found, pairs[2][1], "classes")
    for score, value in scores["mean"].items():
        assert row[score] == pytest.approx(value, abs=1e-6)
    for value in (0, 7, 14):
        name = f"class {value}" if value else "background"
        assert row[f"{name}: dice"] == pytest.approx(
            scores["classes"][str(value)]["dice"], abs=1e-6
        )


def test_a_depth_that_the_images_decide_is_open_for_all() -> None:
    names = ("unet", "dense", "residual", "residual:zhang2018")
    for chosen, depths in (({}, [4, 5, 4, 3]), ({"depth": 3}, [3, 3, 3, 3])):
        config = TrainConfig.from_recipe("robust", model=chosen)
        assert [settings_for(config, name).model.depth for name in names] == depths


@pytest.mark.parametrize("unit", [1.0, 1e-9])
def test_values_are_scored_in_the_units_of_the_target(tmp_path: Path, unit: float) -> None:
    pairs = [(image, (image.astype(np.float32) * 3 + 1000) * unit) for image, _ in CELLS]
    config = tiny(labels={"kind": "regression"})
    list(compare(config, ["unet"], pairs[:2], tmp_path / "c", test=pairs[2:]))
    (row,) = rows_of(tmp_path / "c")
    model = open_model(tmp_path / "c/unet", "cpu")
    values = model.predict(pairs[2][0], outputs=("values",))["values"]
    scores = evaluate(values, pairs[2][1], "regression")
    for score in ("mse", "rmse", "mae"):
        assert row[score] == pytest.approx(scores[score], rel=1e-4)
    assert "dice" not in row


@pytest.mark.parametrize("ndim", [1, 3])
def test_signals_and_volumes_are_compared(tmp_path: Path, ndim: int) -> None:
    rng = np.random.default_rng(0)
    shape = {1: (6, 80), 3: (12, 16, 20)}[ndim]
    pair = (rng.normal(size=shape).astype(np.float32), rng.integers(0, 2, shape))
    config = tiny(model={"base": 2, "depth": 1, "ndim": ndim}, labels={"kind": "classes"})
    list(compare(config, ["unet", "attention"], [pair], tmp_path / "c"))
    assert all(0 <= row["dice"] <= 1 for row in rows_of(tmp_path / "c"))


def test_a_network_that_cannot_be_trained_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_step = Run.take_step

    def short_of_memory(run: Run) -> Stepped:
        if run.config.model.architecture == "unet":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return take_step(run)

    monkeypatch.setattr(Run, "take_step", short_of_memory)
    *_, last = compare(tiny(), ["unet", "attention"], CELLS, tmp_path / "c")
    failed, trained = last.summary["rows"]
    assert failed["failed"].startswith("U161: out of memory at step 1")
    assert "dice" not in failed
    assert trained["steps"] == 2
    assert rows_of(tmp_path / "c") == [failed, trained]


def test_what_was_reached_is_kept_when_it_is_stopped(tmp_path: Path) -> None:
    stream = compare(tiny(epochs=100), ["unet", "attention"], CELLS, tmp_path / "c")
    compared = 0
    for event in stream:
        compared += isinstance(event, Compared)
        if compared and isinstance(event, Stepped):
            break
    stream.close()
    assert [row["model"] for row in rows_of(tmp_path / "c")] == ["unet"]
    assert read_card(tmp_path / "c/attention").training["steps"] >= 1


REFUSED: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "no network": ([], {}, "U101"),
    "no such network": (["unet", "transformer"], {}, "U150"),
    "no such variant": (["unet:wide"], {}, "U150"),
    "labels of another shape": (["unet"], {"pairs": [(CELLS[0][0], CELLS[1][1][:-1])]}, "U102"),
    "no test labels": (["unet"], {"test": [(CELLS[0][0], 0 * CELLS[0][1])]}, "U105"),
    "test images in colour": (
        ["unet"], {"test": [(np.stack([CELLS[0][0]] * 3, -1), CELLS[0][1])]}, "U119"
    ),
    "test targets in colour": (
        ["unet"],
        {
            "labels": {"kind": "regression"},
            "test": [(CELLS[0][0], np.stack([CELLS[0][0]] * 3, -1))],
        },
        "U119.*3 channels, those to learn from 1",
    ),
    "three classes for one logit": (
        ["unet"], {"labels": {"kind": "classes"}, "model": {"classes": 1}, "loss": "dice"}, "U151"
    ),
    "no such device": (["unet"], {"device": "abacus"}, "U160"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_network_could_use_is_refused_before_anything_is_written(
    tmp_path: Path, case: str
) -> None:
    names, changed, code = REFUSED[case]
    pairs = [(image, labels % 3) for image, labels in CELLS]
    images = {part: changed.get(part, given) for part, given in (("pairs", pairs), ("test", None))}
    config = tiny(**{key: value for key, value in changed.items() if key not in images})
    stream = compare(config, names, images["pairs"], tmp_path / "c", test=images["test"])
    with pytest.raises(InputError, match=code):
        next(stream)
    assert not list(tmp_path.iterdir())


def test_test_labels_must_be_learned(tmp_path: Path) -> None:
    image, labels = CELLS[0]
    pairs = [(image, np.minimum(labels, 1))] * 2
    with pytest.raises(InputError, match=r"U108.*\[2\]"):
        list(
            compare(
                tiny(labels={"kind": "classes"}), ["unet"], pairs, tmp_path / "c",
                test=[(image, np.minimum(labels, 2))],
            )
        )  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "names"),
    [("comparison.json", ["dense"]), ("comparison.csv", ["dense"]), ("unet", ["dense", "unet"])],
)
def test_an_older_comparison_is_not_written_over(
    done: tuple[Path, list[Any]], tmp_path: Path, kept: str, names: list[str]
) -> None:
    old = done[0] / kept
    copy = shutil.copytree if old.is_dir() else shutil.copyfile
    (tmp_path / "c").mkdir()
    copy(old, tmp_path / "c" / kept)
    with pytest.raises(InputError, match=f"U131.*{kept}"):
        list(compare(tiny(), names, CELLS, tmp_path / "c"))
    assert [path.name for path in (tmp_path / "c").iterdir()] == [kept]
