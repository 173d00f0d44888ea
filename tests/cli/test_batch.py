"""Many images: which are meant, where their results go, and what becomes of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from napari_unet.arrays.files import open_picture
from napari_unet.arrays.writing import write_tiff
from napari_unet.cli.batch import Task, list_images, list_tasks, names_several, run_each
from napari_unet.config import InputError, PredictConfig
from napari_unet.events import Finished, Noted, Started
from napari_unet.inference.model import open_model
from napari_unet.inference.predict import predict
from tests.cli.conftest import everything

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_unet.events import PredictEvent
    from tests.cli.conftest import Done

    Cli = Callable[..., Done]

RNG = np.random.default_rng(0)
SHAPES = {"a": (40, 24), "b": (16, 33), "c": (24, 24)}
DONE = Finished("", {"tiles": 1, "computed": 1, "elapsed_s": 0.1})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a.tif, b.tif, c.tif."""
    images = tmp_path / "images"
    images.mkdir()
    for name, shape in SHAPES.items():
        write_tiff(images / f"{name}.tif", RNG.normal(100, 20, shape).astype(np.float32), "YX")
    return images


def tasks_of(folder: Path) -> list[Task]:
    return list_tasks(list_images([str(folder)]), folder.parent / "out", "zarr", resume=False)


def test_words_for_several_images(folder: Path, tmp_path: Path) -> None:
    zarr.create_array(store=tmp_path / "one.zarr", data=np.zeros((4, 4)))
    one = [str(folder / "a.tif")]
    assert not names_several(one)
    assert not names_several([str(tmp_path / "one.zarr")])
    for words in (one * 2, [str(folder)], ["@list.txt"]):
        assert names_several(words)


def test_folders_and_lists_stand_for_their_images(folder: Path, tmp_path: Path) -> None:
    a, b, c = (folder / f"{name}.tif" for name in "abc")
    assert list_images([str(folder), str(a)]) == [a, b, c, a]
    (tmp_path / "list.txt").write_text(f"{c}\n\n  {tmp_path / 'none.tif'}\n", encoding="utf-8")
    assert list_images([f"@{tmp_path / 'list.txt'}"]) == [c, tmp_path / "none.tif"]


@pytest.mark.parametrize(
    ("content", "code"), [(None, "U126"), (b"\xff\xfe\xff", "U126"), (b"\n", "U101")]
)
def test_a_list_that_names_nothing_is_refused(
    tmp_path: Path, content: bytes | None, code: str
) -> None:
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InputError, match=code):
        list_images([f"@{tmp_path / 'list.txt'}"])


@pytest.mark.parametrize(
    ("image", "result"),
    [
        ("a.tif", "a.zarr"), ("a.OME.TIF", "a.zarr"), ("a.ome.tiff", "a.zarr"),
        ("a.ome.zarr", "a.zarr"), ("a.b.png", "a.b.zarr"), ("a.v2", "a.v2.zarr"),
    ],
)  # fmt: skip
def test_results_are_named_after_their_images(image: str, result: str) -> None:
    (task,) = list_tasks([Path("in") / image], Path("out"), "zarr", resume=False)
    assert task.out == Path("out") / result


def test_results_keep_apart(tmp_path: Path) -> None:
    def code(images: list[str], out: Path, suffix: str = "zarr", *, resume: bool = False) -> str:
        with pytest.raises(InputError) as refused:
            list_tasks([tmp_path / name for name in images], out, suffix, resume=resume)
        return refused.value.code

    assert code(["a.tif", "A.png"], tmp_path / "out") == "U130"  # one file where case is ignored
    assert code(["a.tif"], tmp_path, "tif") == "U130"
    assert code(["a.tif"], tmp_path, "tif", resume=True) == "U130"
    assert code(["a.tif"], tmp_path / "out.zarr") == "U151"
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.tif").touch()
    assert code(["a.tif"], tmp_path / "old", "tif") == "U130"
    assert code(["a.tif"], tmp_path / "old" / "a.tif") == "U151"
    assert list_tasks([tmp_path / "a.tif"], tmp_path / "old", "tif", resume=True)


def test_labels_go_with_images_in_the_order_of_their_names(folder: Path, tmp_path: Path) -> None:
    images = list_images([str(folder)])
    tasks = list_tasks(images, tmp_path / "out", "zarr", folder, resume=False)
    assert [task.labels for task in tasks] == images
    with pytest.raises(InputError, match="U101: 2 images and 3 labels"):
        list_tasks(images[:2], tmp_path / "out", "zarr", folder, resume=False)


def test_a_failing_task_does_not_stop_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = tasks_of(folder)

    def start(task: Task) -> Generator[PredictEvent, None, None]:
        if task is tasks[0]:
            raise InputError("U124", "no\nimage", "look")
        yield Noted("as always")
        if task is tasks[1]:
            raise KeyError("ours")
        yield DONE

    lines: list[str] = []
    events = list(run_each(tasks, start, lines.append, alone=False))
    assert events == [Noted("b.tif: as always"), DONE]
    assert [task.state for task in tasks] == ["failed", "failed", "done"]
    assert [line.split(" ")[0] for line in lines] == ["[1/3]", "[2/3]", "[3/3]"]
    assert lines[0].endswith("a.tif: U124: no image: look")
    assert "U001: KeyError" in lines[1]
    assert lines[2].endswith(f"c.tif: 1 tile(s) in 0.1 s: {folder.parent / 'out' / 'c.zarr'}")
    assert "Traceback" in capsys.readouterr().err  # of the fault of ours
    resumed = Task(Path("i"), Path("o"), summary={"tiles": 9, "computed": 4, "elapsed_s": 2})
    assert str(resumed) == "i: 4 of 9 tile(s) in 2.0 s: o"
    assert tasks[0].row()["error"] == {"code": "U124", "what": "no\nimage", "remedy": "look"}
    assert tasks[2].row()["tiles"] == 1
    with pytest.raises(KeyError):
        list(run_each(tasks[1:2], start, lines.append, alone=True))


def test_closing_ends_the_task_that_runs(folder: Path) -> None:
    tasks, closed = tasks_of(folder), []

    def start(task: Task) -> Generator[PredictEvent, None, None]:
        try:
            yield Started(1)
            yield DONE
        finally:
            closed.append(task.image.name)

    stream = run_each(tasks, start, print, alone=False)
    assert [next(stream) for _ in range(3)] == [Started(1), DONE, Started(1)]
    stream.close()
    assert closed == ["a.tif", "b.tif"]
    assert [task.state for task in tasks] == ["done", "begun", "waiting"]


def test_a_folder_is_predicted_but_for_what_is_damaged(
    cli: Cli, model: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "b.tif").write_text("no image")
    done = cli("predict", model, folder, tmp_path / "out", "--tile", 16, "--json")
    assert done.code == 2
    rows = json.loads(done.out)
    assert [row["state"] for row in rows] == ["done", "failed", "done"]
    assert rows[1]["error"]["code"] == "U124"
    assert rows[0]["computed"] == rows[0]["tiles"] == 6
    assert done.err.count("U124") == 2  # as it happened, and at the end
    assert "1 of 3 images failed:" in done.err
    assert "Traceback" not in done.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.zarr", "c.zarr"]
    for name in "ac":
        group = zarr.open_group(tmp_path / "out" / f"{name}.zarr", mode="r")
        expected = open_model(model).predict(folder / f"{name}.tif")["classes"]
        np.testing.assert_array_equal(group["classes"][:], expected)


def test_a_list_is_predicted_into_tiffs(
    cli: Cli, model: Path, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(f"{folder / 'c.tif'}\n{folder / 'a.tif'}\n")
    words = ("predict", model, f"@{tmp_path / 'list.txt'}", tmp_path / "out", "--format", "tif")
    done = cli(*words)
    assert (done.code, done.out) == (0, "")
    progress = [line for line in done.err.splitlines() if line.startswith("[")]
    assert [line.split(":")[0] for line in progress] == [
        f"[1/2] {folder / 'c.tif'}", f"[2/2] {folder / 'a.tif'}",
    ]  # fmt: skip
    for name in "ca":
        assert open_picture(tmp_path / "out" / f"{name}.tif", ndim=2).data.shape == SHAPES[name]
    before = everything(tmp_path / "out")
    assert cli(*words).err.startswith("U130:")
    again = cli(*words, "--resume", "--json")
    assert [row["computed"] for row in json.loads(again.out)] == [0, 0]
    assert everything(tmp_path / "out") == before


def test_resuming_a_tiff_goes_on_with_the_run_that_was_stopped_not_with_an_older_file(
    cli: Cli, model: Path, folder: Path, tmp_path: Path
) -> None:
    image, out = folder / "a.tif", tmp_path / "o.tif"
    assert cli("predict", model, image, out).code == 0
    part = ("predict", model, image, out, "--region", "0:8,0:8", "--resume")
    refused = cli(*part)
    assert (refused.code, refused.err.split(":")[0]) == (2, "U151")
    settings = PredictConfig(region=((0, 8), (0, 8)))
    stream = predict(model, image, out, settings)
    while not isinstance(next(stream), Started):
        pass
    stream.close()  # as after Ctrl-C: what is unfinished lies beside the older TIFF
    assert cli(*part).code == 0
    assert open_picture(out, ndim=2).data.shape == (8, 8)
    assert [path.name for path in tmp_path.iterdir() if "o.tif" in path.name] == ["o.tif"]
    assert cli(*part).err.rstrip().endswith("o.tif is there")
