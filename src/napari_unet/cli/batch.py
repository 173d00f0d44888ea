"""Many images, one after the other: which they are, where their results go, what became of them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_unet.arrays.files import SUFFIXES, list_pictures
from napari_unet.arrays.ome_zarr import is_zarr
from napari_unet.arrays.writing import check_apart
from napari_unet.cli.failing import as_input_error, in_one_line
from napari_unet.config import InputError, StorageError
from napari_unet.events import Finished, Noted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from napari_unet.events import PredictEvent

FORMATS = ("zarr", "ome.zarr", "tif")
LIST = "@"  # before the name of a text file that names an image on each line


@dataclass
class Task:
    """An image to predict, and what became of it.

    Parameters
    ----------
    image, out : Path
        What to read, and where the result goes.
    labels : Path or None
        The truth, for the output `loss`.
    state : {"waiting", "begun", "done", "failed"}
        Begun is what has no result yet, or an unfinished one.
    summary : Mapping
        Of `Finished`, once it is done.
    error : InputError or None
        Why it failed.
    """

    image: Path
    out: Path
    labels: Path | None = None
    state: Literal["waiting", "begun", "done", "failed"] = "waiting"
    summary: Mapping[str, Any] = field(default_factory=dict)
    error: InputError | None = None

    def row(self) -> dict[str, Any]:
        """Return what a program wants to know of it."""
        e = self.error
        error = e and {"code": e.code, "what": e.what, "remedy": e.remedy}
        known = {"image": str(self.image), "out": str(self.out), "state": self.state}
        return {**known, **self.summary, "error": error}

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.image}: {in_one_line(self.error)}"
        if "words" in self.summary:  # a plan
            return f"{self.image}: {self.summary['words']}"
        tiles, computed = self.summary["tiles"], self.summary["computed"]
        if not computed:
            return f"{self.image}: {self.out} is there"
        share = "" if computed == tiles else f"{computed} of "
        elapsed_s = self.summary["elapsed_s"]
        return f"{self.image}: {share}{tiles} tile(s) in {elapsed_s:.1f} s: {self.out}"


def names_several(images: Sequence[str]) -> bool:
    """Tell whether the words stand for more than one file: then the result is a folder."""
    return len(images) > 1 or images[0].startswith(LIST) or _is_folder(Path(images[0]))


def list_images(words: Sequence[str]) -> list[Path]:
    """Return the images that words name: files, folders of them, and lists `@FILE` of paths.

    A file that is not there fails when its turn comes. Raises InputError U126 for a list that
    cannot be read, U101 where a folder or all of them hold no image.
    """
    paths = [path for word in words for path in _listed(word)]
    images = [p for path in paths for p in (list_pictures(path) if _is_folder(path) else [path])]
    if not images:
        raise InputError("U101", f"no image in {', '.join(words)}", "name at least one")
    return images


def list_tasks(
    images: Sequence[Path], out: Path, suffix: str, labels: Path | None = None, *, resume: bool
) -> list[Task]:
    """Name a result in the folder `out` after each image, and give it its labels.

    Raises
    ------
    InputError
        U101 not as many labels as images; U151 when `out` is the name of a file.
    StorageError
        U130 when two results would have one name, when one would replace what it is made from
        or, unless `resume`, a TIFF that is there.
    """
    if out.suffix.lower() in (".zarr", ".tif", ".tiff") or out.is_file():
        what = f"{len(images)} image(s) of a list or folder, and one file {out} for the results"
        raise InputError("U151", what, "name a folder; --format says what is written there")
    drawn: Sequence[Path | None] = list_pictures(labels) if labels else [None] * len(images)
    if len(drawn) != len(images):
        what = f"{len(images)} images and {len(drawn)} labels"
        raise InputError("U101", what, "give them in pairs, as two folders")
    tasks = [
        Task(image, out / f"{_stem(image)}.{suffix}", truth)
        for image, truth in zip(images, drawn, strict=True)
    ]
    _check_results(tasks, resume)
    return tasks


def run_each(
    tasks: Sequence[Task],
    start: Callable[[Task], Generator[PredictEvent, Any, None]],
    tell: Callable[[str], None],
    *,
    alone: bool,
) -> Generator[PredictEvent, None, None]:
    """Yield the events of each task in turn, and tell what became of it.

    Parameters
    ----------
    tasks : sequence of Task
        Their state, summary and error are set.
    start : callable
        Begins the work of a task.
    tell : callable
        Takes a line about each task that is done or has failed.
    alone : bool
        There is one task: what it raises is raised. Else a failing one does not stop the others,
        notes carry the name of their image, and one that was told is not told again.
    """
    told: set[str] = set()
    for number, task in enumerate(tasks, start=1):
        count = "" if alone else f"[{number}/{len(tasks)}] "
        task.state = "begun"
        try:
            with closing(start(task)) as stream:
                for event in stream:
                    if isinstance(event, Finished):
                        task.state, task.summary = "done", event.summary
                        tell(f"{count}{task}")
                    if alone or not isinstance(event, Noted):
                        yield event
                    elif event.text not in told:
                        told.add(event.text)
                        yield Noted(f"{task.image.name}: {event.text}")
        except Exception as error:  # whatever is wrong with one image: the others go on
            if alone:
                raise
            task.state, task.error = "failed", as_input_error(error)
            tell(f"{count}{task}")


def _is_folder(path: Path) -> bool:
    """Tell whether a path is a folder of images; an image in zarr is a folder, too."""
    return path.is_dir() and not is_zarr(path)


def _listed(word: str) -> list[Path]:
    """Return the path that a word is, or those of a list."""
    if not word.startswith(LIST):
        return [Path(word)]
    path = Path(word.removeprefix(LIST))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        what = f"the list {path} cannot be read"
        raise InputError("U126", what, "give a text file with a path on each line") from error
    return [Path(line.strip()) for line in lines if line.strip()]


def _stem(image: Path) -> str:
    """Return the name of an image without the suffixes that name its kind: a.ome.tif is a."""
    if image.suffix.lower() not in (*SUFFIXES, ".zarr"):
        return image.name
    stem = Path(image.stem)
    return stem.stem if stem.suffix.lower() == ".ome" else stem.name


def _check_results(tasks: Sequence[Task], resume: bool) -> None:
    """Refuse results that would lie upon one another, on an image, or on a finished TIFF."""
    taken: dict[str, Path] = {}
    for task in tasks:
        other = taken.setdefault(str(task.out).casefold(), task.image)  # disks may ignore case
        if other is not task.image:
            what = f"{other} and {task.image} would both be written to {task.out}"
            raise StorageError("U130", what, "predict them into two folders")
        for source in filter(None, (task.image, task.labels)):
            check_apart(task.out, source)
        if task.out.is_file() and not resume:
            what = f"{task.out} exists"
            remedy = "choose another folder, or --resume to keep what is there"
            raise StorageError("U130", what, remedy)
