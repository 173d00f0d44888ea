"""A prediction that was stopped, or killed, goes on where it was and ends in the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unet.arrays.axes import Picture
from napari_unet.config import InputError, PredictConfig
from napari_unet.events import Finished, Noted, Started, TileDone
from napari_unet.inference import task
from napari_unet.inference.grid import Grid
from napari_unet.inference.ledger import LEDGER, Ledger
from napari_unet.inference.predict import predict
from napari_unet.inference.regions import Region

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.inference.model import Model

    Models = Callable[..., Model]
    Images = Callable[..., np.ndarray[Any, Any]]

SHAPE = (2, 64, 60)
TILES = 2 * 4 * 4
OUTPUTS = ("classes", "probabilities", "instances")
CONFIG = PredictConfig(outputs=OUTPUTS, tile=16, threads=1)
PROGRAM = """
import sys
from napari_unet.config import PredictConfig
from napari_unet.inference.predict import predict

model, image, out, config = sys.argv[1:]
for event in predict(model, image, out, PredictConfig.model_validate_json(config)):
    print(type(event).__name__, flush=True)
"""


def tiles_of(events: list[Any]) -> list[TileDone]:
    return [event for event in events if isinstance(event, TileDone)]


def bytes_of(folder: Path) -> dict[str, bytes]:
    """What all files of a result hold, but for what a killed process left half written."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".partial"
    }


def stop_after(stream: Any, n: int) -> None:
    while n:
        n -= isinstance(next(stream), TileDone)
    stream.close()


@pytest.fixture
def stored(picture: Images, tmp_path: Path) -> Path:
    """An image on disk."""
    zarr.create_array(store=tmp_path / "i.zarr", data=picture(*SHAPE), chunks=(1, 32, 32))
    return tmp_path / "i.zarr"


@pytest.mark.parametrize(("tile", "shape"), [(16, SHAPE), ("rows", (2, 2100, 12))])
@pytest.mark.parametrize("name", ["o.zarr", "o.ome.zarr", "o.tif"])
def test_a_stopped_prediction_is_finished_with_the_missing_tiles(
    models: Models, picture: Images, tmp_path: Path, name: str, tile: Any, shape: Any
) -> None:
    outputs = ("probabilities",) if name == "o.tif" else OUTPUTS
    config = PredictConfig(outputs=outputs, tile=tile, threads=1)
    model, image, out = models(), picture(*shape), tmp_path / name
    whole = tiles_of(list(predict(model, image, tmp_path / f"whole-{name}", config)))
    n = 1 + len(whole) // 3
    stop_after(predict(model, image, out, config), n)
    events = list(predict(model, image, out, config, resume=True))
    again, summary = tiles_of(events), events[-1].summary
    assert n <= len(whole) - len(again) <= n + 1  # one more was being written
    assert (summary["computed"], summary["tiles"]) == (len(again), len(whole))
    assert again[0].done == len(whole) - len(again) + 1
    assert again[-1].done == again[-1].total == len(whole)
    if name == "o.tif":
        assert out.read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    else:
        assert bytes_of(out) == bytes_of(tmp_path / f"whole-{name}")


@pytest.mark.parametrize("kill_after", [0, 1, 12, TILES])
def test_a_killed_prediction_is_finished_with_the_same_bytes(
    models: Models, stored: Path, tmp_path: Path, kill_after: int
) -> None:
    model, out = models(), tmp_path / "o.zarr"
    list(predict(model, stored, tmp_path / "whole.zarr", CONFIG))
    words = [sys.executable, "-c", PROGRAM, model.folder, stored, out, CONFIG.model_dump_json()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        seen = 0
        while seen < kill_after or not seen:
            if process.stdout.readline() in {"TileDone\n", "Started\n"}:
                seen += 1
        process.kill()
    assert process.returncode == -signal.SIGKILL
    group = zarr.open_group(out, mode="r")
    assert "complete" not in group.attrs
    written = int(group[LEDGER][:].sum())
    assert written >= kill_after - 1
    events = list(predict(model, stored, out, CONFIG, resume=True))
    assert len(tiles_of(events)) == events[-1].summary["computed"] == TILES - written
    assert bytes_of(out) == bytes_of(tmp_path / "whole.zarr")


def test_a_finished_result_is_left_alone(models: Models, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.zarr"
    list(predict(models(), stored, out, CONFIG))
    before = bytes_of(out)
    (event,) = predict(models(), stored, out, CONFIG, resume=True)
    assert isinstance(event, Finished)
    assert (event.summary["tiles"], event.summary["computed"]) == (TILES, 0)
    assert bytes_of(out) == before


@pytest.mark.parametrize("words", ["finding objects", "pyramid of"])
def test_what_follows_the_tiles_can_be_stopped_too(
    models: Models, picture: Images, tmp_path: Path, words: str
) -> None:
    config = PredictConfig(outputs=("instances",), tile=128, threads=1)
    model, image, out = models(), picture(1100, 20), tmp_path / "o.ome.zarr"
    list(predict(model, image, tmp_path / "whole.ome.zarr", config))
    stream = predict(model, image, out, config)
    stopped = 0
    for event in stream:
        if isinstance(event, Noted) and event.text.startswith(words):
            stream.close()
            stopped += 1
    assert stopped == 1
    assert "complete" not in zarr.open_group(out, mode="r").attrs
    events = list(predict(model, image, out, config, resume=True))
    assert events[-1].summary["computed"] == 0
    assert bytes_of(out) == bytes_of(tmp_path / "whole.ome.zarr")


def test_the_loss_goes_on_with_the_same_truth(models: Models, stored: Path, tmp_path: Path) -> None:
    config = PredictConfig(outputs=("loss",), tile=16, threads=1)
    truth = Picture(np.ones(SHAPE, np.uint8), "TYX", None, "truth")
    other = Picture(np.zeros(SHAPE, np.uint8), "TYX", None, "other")
    stop_after(predict(models(), stored, tmp_path / "o.zarr", config, truth=truth), 3)
    with pytest.raises(InputError, match=r"U151.*begun with truth truth, not other"):
        list(predict(models(), stored, tmp_path / "o.zarr", config, resume=True, truth=other))
    list(predict(models(), stored, tmp_path / "o.zarr", config, resume=True, truth=truth))
    assert np.isfinite(zarr.open_group(tmp_path / "o.zarr", mode="r")["loss"][:]).all()


def test_where_nothing_is_resuming_begins(models: Models, stored: Path, tmp_path: Path) -> None:
    events = list(predict(models(), stored, tmp_path / "o.zarr", CONFIG, resume=True))
    assert events[0] == Started(TILES)
    assert events[-1].summary["computed"] == TILES


def test_background_is_not_taken_for_a_missing_tile(models: Models, tmp_path: Path) -> None:
    values = (0, 7)
    stop_after(predict(models(values=values), np.zeros((40, 40)), tmp_path / "o.zarr", CONFIG), 9)
    group = zarr.open_group(tmp_path / "o.zarr", mode="r")
    ledger = group[LEDGER]
    assert ledger.dtype == np.uint8
    assert ledger.shape == (3, 3)
    assert (ledger[:] == 1).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"outputs": ("classes",)}, "outputs"),
        ({"region": ((0, 2), (0, 64), (0, 30))}, "region"),
        ({"outline": ((0, 0), (50, 0), (50, 50))}, "outline"),
        ({"instances": {"split": False}}, "instances"),
    ],
)
def test_other_settings_are_refused(
    models: Models, stored: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    out = tmp_path / "o.zarr"
    stop_after(predict(models(), stored, out, CONFIG), 2)
    other = PredictConfig.model_validate({**CONFIG.model_dump(), **changes})
    before = bytes_of(out)
    with pytest.raises(InputError, match=rf"U151: .*begun with {words}"):
        list(predict(models(), stored, out, other, resume=True))
    assert bytes_of(out) == before


def test_another_model_and_another_image_are_refused(
    models: Models, picture: Images, stored: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.zarr"
    stop_after(predict(models(), stored, out, CONFIG), 2)
    with pytest.raises(InputError, match=r"U151: .*begun with parameters"):
        list(predict(models("attention"), stored, out, CONFIG, resume=True))
    with pytest.raises(InputError, match=r"U151: .*begun with image"):
        list(predict(models(), picture(*SHAPE), out, CONFIG, resume=True))


def test_the_plan_is_that_which_it_was_begun_with(
    models: Models, stored: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.zarr"
    stop_after(predict(models(), stored, out, CONFIG), 2)
    larger = CONFIG.model_copy(update={"tile": 4096})
    events = list(predict(models(), stored, out, larger, resume=True))
    assert events[-1].summary["plan"]["tile"] == (16, 16)
    assert events[-1].summary["tiles"] == TILES


@pytest.mark.parametrize("settings", [{"precision": "bfloat16"}, {"memory_gib": 64}], ids=str)
def test_settings_of_the_plan_do_not_change_what_is_resumed(
    models: Models, stored: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    whole, parts = tmp_path / "whole.zarr", tmp_path / "parts.zarr"
    list(predict(models(), stored, whole, CONFIG))
    stop_after(predict(models(), stored, parts, CONFIG), 5)
    list(predict(models(), stored, parts, CONFIG.model_copy(update=settings), resume=True))
    assert bytes_of(parts) == bytes_of(whole)


@pytest.mark.parametrize(
    "begun",
    [{"backend": "openvino"}, {"precision": "float16"}],
    ids=lambda begun: next(iter(begun)),
)
def test_what_was_begun_elsewhere_says_so(
    models: Models, stored: Path, tmp_path: Path, begun: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "o.zarr"
    stop_after(predict(models(), stored, out, CONFIG), 2)
    attrs = zarr.open_group(out)[LEDGER].attrs
    attrs["plan"] = {**attrs["plan"], **begun}
    monkeypatch.setattr(task, "available_backends", lambda: ("torch",))
    (way,) = begun.values()
    with pytest.raises(InputError, match=f"U151: the result was begun .*{way}.*without resuming"):
        list(predict(models(), stored, out, CONFIG, resume=True))


def test_what_keeps_no_ledger_cannot_be_resumed(
    models: Models, stored: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="U151"):
        list(predict(models(), stored, {}, CONFIG, resume=True))
    list(predict(models(), stored, tmp_path / "o.zarr", CONFIG))
    group = zarr.open_group(tmp_path / "o.zarr")
    del group.attrs["made_of"], group.attrs["complete"]
    with pytest.raises(InputError, match=r"U151.*which of its tiles"):
        list(predict(models(), stored, tmp_path / "o.zarr", CONFIG, resume=True))


def test_a_tile_counts_when_all_its_parts_are_written() -> None:
    grid = Grid(Region((slice(3, 5),), (slice(10, 30), slice(0, 16))), (16, 16))
    ledger = Ledger(grid, np.zeros(grid.shape, bool))
    left, right = (slice(10, 26), slice(0, 8)), (slice(10, 26), slice(8, 16))
    assert ledger.add((4,), left) is None
    assert ledger.add((4,), (slice(26, 30), slice(0, 16))) == (1, 1, 0)
    assert ledger.add((4,), right) == (1, 0, 0)
    assert ledger.done.tolist() == [[[False], [False]], [[True], [True]]]
