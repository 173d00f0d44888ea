"""Every sample is in the mosaic, whole and in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from napari.layers import Image

from napari_unet.ui.results import Place
from napari_unet.ui.samples_view import GAP, mosaic, sample_layers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5)])
def test_a_mosaic_holds_every_sample(n: int, shape: tuple[int, ...]) -> None:
    samples = np.random.default_rng(0).random((n, *shape))
    whole = mosaic(samples)
    columns = int(np.ceil(np.sqrt(n)))
    for k, sample in enumerate(samples):
        y, x = k // columns * (6 + GAP), k % columns * (5 + GAP)
        np.testing.assert_array_equal(whole[..., y : y + 6, x : x + 5], sample)
    assert whole.sum() == pytest.approx(samples.sum())


def test_signals_become_rows() -> None:
    samples = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(mosaic(samples), samples)


@pytest.mark.parametrize("channels", [1, 2])
def test_values_are_shown_as_images(tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(0)
    group = zarr.create_group(tmp_path / "s.zarr")
    for name, shape in (("image", (4, 1, 8, 8)), ("values", (4, channels, 8, 8)),
                        ("weights", (4, 8, 8))):  # fmt: skip
        group.create_array(name, data=rng.random(shape, dtype=np.float32))
    made = sample_layers(tmp_path / "s.zarr", Place(Image(np.zeros((30, 40))), "YX", 2))
    names = [meta["name"] for _, meta, _ in made]
    values = ["values"] if channels == 1 else ["values 0", "values 1"]
    assert names == [f"samples: {name}" for name in ("image", "weights", *values)]
    assert {kind for _, _, kind in made} == {"image"}
    (array, _, _) = made[-1]
    np.testing.assert_array_equal(array[:8, :8], group["values"][0, channels - 1])
