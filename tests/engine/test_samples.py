"""Samples hold what the network is shown: image, weights, and classes or values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from napari_unet.engine.jobs import SamplesJob
from napari_unet.engine.work import run_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.engine.jobs import TrainJob


@pytest.mark.parametrize("kind", ["instances", "classes", "regression"])
def test_samples_say_what_is_to_be_learned(
    training: Callable[..., TrainJob], tmp_path: Path, kind: str
) -> None:
    job, out = training("a", tmp_path / "m", labels={"kind": kind}), tmp_path / "s.zarr"
    samples = SamplesJob(job="s", config=job.config, pairs=job.pairs, out=str(out), count=4)
    list(run_job(samples))
    arrays = {name: array[:] for name, array in zarr.open_group(out, mode="r").arrays()}
    truth = "values" if kind == "regression" else "classes"
    assert set(arrays) == {"image", "weights", truth}
    assert {len(array) for array in arrays.values()} == {4}
    assert arrays["weights"].shape == (4, 16, 16)
    assert arrays[truth].shape == ((4, 1, 16, 16) if truth == "values" else (4, 16, 16))
    assert np.isfinite(arrays[truth]).all()
