"""What a layer shows of a result equals what lies on disk, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unet.ui import filling as module
from napari_unet.ui.filling import Filling, fillings, span, take_over

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.tiling import Window


def stored(folder: Path, data: np.ndarray[Any, Any], **attributes: object) -> Any:
    """An array on disk, in chunks of 16 pixels."""
    group = zarr.open_group(folder / "o.zarr", mode="a")
    chunks = (*(1,) * (data.ndim - 2), 16, 16)
    return group.create_array(
        f"a{len(list(group.members()))}", shape=data.shape, dtype=data.dtype, chunks=chunks,
        attributes=attributes,
    )  # fmt: skip


def tiles(shape: tuple[int, ...], edge: int) -> list[Window]:
    rows, columns = (range(0, n, edge) for n in shape[-2:])
    lead = np.ndindex(shape[:-2])
    return [
        (*(slice(k, k + 1) for k in at), slice(y, y + edge), slice(x, min(x + edge, shape[-1])))
        for at in lead
        for y in rows
        for x in columns
    ]


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("shape", [(50, 70), (3, 33, 16), (1, 1), (5, 3)])
def test_tiles_in_any_order_make_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: bool, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(module, "COARSEST_PX", 4)
    monkeypatch.setattr(module, "SMALL_BYTES", 2**20 if small else 0)
    data = np.random.default_rng(0).integers(1, 200, shape).astype(np.uint8)
    array = stored(tmp_path, data)
    filling = Filling(array, "classes", None, tmp_path)
    levels = [filling.data] if small else filling.data
    assert not any(np.asarray(level).any() for level in levels)
    windows = tiles(shape, 16)
    for at in np.random.default_rng(1).permutation(len(windows)):
        array[windows[at]] = data[windows[at]]
        filling.take(windows[at])
    np.testing.assert_array_equal(levels[0][...], data)
    for number, level in enumerate(levels[1:], start=1):
        factor = 4**number
        picked = [np.arange(min(factor // 2, n - 1), n, factor) for n in shape[-2:]]
        np.testing.assert_array_equal(level, data[..., *np.ix_(*picked)])


def test_a_part_of_the_classes_is_read_alone(tmp_path: Path) -> None:
    data = np.random.default_rng(0).random((2, 3, 20, 30)).astype(np.float32)
    array = stored(tmp_path, data, axes="KTYX")
    array[...] = data
    made = fillings({"probabilities": array}, tmp_path)
    assert list(made) == ["probabilities/0", "probabilities/1"]
    assert take_over(made, {}, list(made), lambda: False) == {}
    for k, filling in enumerate(made.values()):
        np.testing.assert_array_equal(filling.data, data[k])


def test_what_is_not_known_yet_is_not_a_number(tmp_path: Path) -> None:
    array = stored(tmp_path, np.zeros((20, 30), np.float32))
    for name in ("values", "uncertainty", "loss"):
        assert np.isnan(Filling(array, name, None, tmp_path).data).all()
    for name in ("classes", "probabilities", "attention/g"):
        assert not Filling(array, name, None, tmp_path).data.any()


def test_a_tile_covers_the_cells_of_a_gate(tmp_path: Path) -> None:
    """A region from pixel (3, 10, 7) on; the cells of the gate begin at (3, 8, 4)."""
    array = stored(tmp_path, np.zeros((1, 6, 9), np.float32), stride=[4, 4], offset=[3, 8, 4])
    gate = Filling(array, "attention/g", None, tmp_path)
    assert gate.stride == (1, 4, 4)
    window = gate.window((0, 0, 0), (1, 16, 16), (3, 10, 7))
    assert window == (slice(0, 1), slice(0, 5), slice(0, 5))  # pixels 10 to 25, 7 to 22
    window = gate.window((0, 16, 16), (1, 20, 30), (3, 10, 7))
    assert window == (slice(0, 1), slice(4, 6), slice(4, 9))


def test_a_call_that_is_stopped_takes_no_more(tmp_path: Path) -> None:
    data = np.ones((64, 64), np.uint8)
    array = stored(tmp_path, data)
    array[...] = data
    made = fillings({"classes": array}, tmp_path)
    asked = iter([False, True])
    take_over(made, {"classes": tiles(data.shape, 16)}, (), lambda: next(asked))
    assert made["classes"].data.sum() == 16 * 16


def test_the_contrast_shows_what_is_there(tmp_path: Path) -> None:
    data = np.full((40, 40), np.nan, np.float32)
    data[:20] = np.linspace(0, 0.25, 20)[:, None]
    array = stored(tmp_path, data)
    array[...] = data
    made = {name: Filling(array, name, None, tmp_path) for name in ("uncertainty", "classes")}
    limits = take_over(made, {}, tuple(made), lambda: False)
    assert set(limits) == {"uncertainty"}
    np.testing.assert_allclose(limits["uncertainty"], (0, 0.25), atol=1e-3)


@pytest.mark.parametrize(
    ("values", "expected"), [((0.9, 0.95), (0.9, 0.95)), ((0.5, 0.5), (0.0, 1.0))]
)
def test_contrast_limits_are_never_empty(values: tuple[float, ...], expected: object) -> None:
    assert span(np.array(values)) == expected
