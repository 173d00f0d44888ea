"""Is the prediction in pieces that of the whole? Looked up in a window of the user's own image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.config import InputError, PredictConfig
from napari_unet.inference.passes import Passes
from napari_unet.inference.task import choose_outputs, make_task, open_image
from napari_unet.models.device import is_out_of_memory
from napari_unet.models.tiles import run_tile
from napari_unet.tiling import AUTO_TILE, tile_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_unet.inference.grid import Cell, Grid
    from napari_unet.inference.model import Model
    from napari_unet.inference.task import Task
    from napari_unet.tiling import Window


def check_tiles(
    model: Model, image: Any, config: PredictConfig | None = None, seed: int = 0
) -> dict[str, Any]:
    """Predict a window in the pieces of the plan, and in one by the network as it was trained.

    The window lies where tiles meet. Both are to agree to rounding.

    Parameters
    ----------
    model : Model
    image : array, path or Picture
    config : PredictConfig, optional
        As for the prediction that is asked about.
    seed : int
        Chooses the window.

    Returns
    -------
    dict
        "largest": the largest difference of logits, of tiles on their own and of tiles that run as
        one stream; "spread" of the logits of the one piece (their standard deviation); "changed":
        how many of its "pixels" are given another class; "lead" and "window": its position on the
        leading axes, and its start and stop along those of space, in pixels of the image.

    Raises
    ------
    InputError
        As `predict` does; U161 when memory is too small for it.
    """
    config = choose_outputs(config or PredictConfig(), model)
    plain = config.model_copy(
        update={"outputs": ("values",) if model.card.target else ("classes",)}
    )
    task = make_task(model, open_image(image, model), plain)
    lead, window = _choose_window(task.grid, np.random.default_rng(seed))
    try:
        whole = _predict_whole(task, lead, window)
        ways = (False, True) if task.zoom.plain else (False,)
        pieces = [_predict_pieces(task, lead, window, rows=rows) for rows in ways]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        what = "out of memory with a window in one piece"
        raise InputError("U161", what, "close other programs, or choose device cpu") from error
    return {
        "largest": max(float(np.abs(piece - whole).max()) for piece in pieces),
        "spread": float(whole.std()),
        "changed": max(int((_decide(piece) != _decide(whole)).sum()) for piece in pieces),
        "pixels": int(whole[0].size),
        "lead": list(lead),
        "window": [[w.start, w.stop] for w in window],
    }


def _choose_window(grid: Grid, rng: np.random.Generator) -> tuple[tuple[int, ...], Window]:
    """Choose a position, and around a corner where tiles meet a window of at most one auto tile."""
    region = grid.region
    lead = tuple(int(rng.integers(w.start, w.stop)) for w in region.lead)
    window = []
    for w, edge in zip(region.space, grid.tile, strict=True):
        size = min(w.stop - w.start, AUTO_TILE[len(grid.tile)])
        seams = range(w.start + edge, w.stop, edge)
        middle = int(rng.choice(seams)) if seams else int(rng.integers(w.start, w.stop))
        start = min(max(middle - size // 2, w.start), w.stop - size)
        window.append(slice(start, start + size))
    return lead, tuple(window)


def _predict_whole(task: Task, lead: tuple[int, ...], window: Window) -> NDArray[np.float32]:
    """Return the logits (K, *window) of one piece, by the network as it is."""
    model, passes = task.model, Passes(task)
    tile = tile_at(task.zoom.seen(window), task.shape, model.geometry)
    intensity = passes.intensity(lead)
    told = run_tile(model.network, task.view(lead), intensity, tile, model.device)
    return task.zoom.back(told, window)


def _predict_pieces(
    task: Task, lead: tuple[int, ...], window: Window, *, rows: bool
) -> NDArray[np.float32]:
    """Return the logits (K, *window) of the tiles that the window lies in."""
    passes = Passes(task)
    logits = np.full((task.model.card.model.classes, *(w.stop - w.start for w in window)), np.nan)
    for strip in _strips(task.grid, lead, window, rows=rows):
        windows = [task.grid.window(cell) for cell in strip]
        run = passes.begin(windows)
        for read in run.reads:
            for tile, maps in run.feed(passes.read(lead, read)):
                write = tile.write if rows else windows[0]
                _paste(logits, window, task.zoom.back(maps["logits"], write), write)
    return logits.astype(np.float32)


def _strips(
    grid: Grid, lead: tuple[int, ...], window: Window, *, rows: bool
) -> Iterator[list[Cell]]:
    """Yield the cells that a window lies in: one by one, or those below one another."""
    first = grid.cell(lead, window)
    last = grid.cell(lead, tuple(slice(w.stop - 1, w.stop) for w in window))
    shape = [b - a + 1 for a, b in zip(first, last, strict=True)]
    axis = len(lead)
    if not rows:
        for k in np.ndindex(*shape):
            yield [tuple(a + i for a, i in zip(first, k, strict=True))]
        return
    for k in np.ndindex(*shape[:axis], 1, *shape[axis + 1 :]):
        top = [a + i for a, i in zip(first, k, strict=True)]
        yield [(*top[:axis], top[axis] + i, *top[axis + 1 :]) for i in range(shape[axis])]


def _paste(
    logits: NDArray[np.float64], window: Window, block: NDArray[np.float32], write: Window
) -> None:
    """Copy what a tile has in common with a window."""
    both = [
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(window, write, strict=True)
    ]
    there, here = (
        tuple(slice(c.start - o.start, c.stop - o.start) for c, o in zip(both, origin, strict=True))
        for origin in (window, write)
    )
    logits[(slice(None), *there)] = block[(slice(None), *here)]


def _decide(logits: NDArray[np.float32]) -> NDArray[Any]:
    """Return the class index of each pixel; of one logit, whether it is positive."""
    return logits.argmax(axis=0) if len(logits) > 1 else np.asarray(logits[0] > 0)
