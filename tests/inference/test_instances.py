"""Objects have the same numbers whatever the blocks, and touching ones are told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from tifffile import imread

from napari_unet.config import InstanceConfig
from napari_unet.inference.instances import label_instances
from napari_unet.inference.parting import part_object
from napari_unet.metrics.objects import find_overlaps, pool_overlaps, score_overlaps
from tests.targets.label_strategies import disks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Labels = NDArray[np.integer[Any]]

ENOUGH = 2**30
WHOLE = InstanceConfig(split=False)
PARTED = InstanceConfig()
CROSS = ndimage.generate_binary_structure(2, 1)


def instances(
    classes: Labels,
    config: InstanceConfig = PARTED,
    block: Sequence[int] | None = None,
    memory: int = ENOUGH,
) -> tuple[Labels, list[float], list[str]]:
    """Number the objects; return them, the progress, and the words."""
    out = np.full(classes.shape, 9, np.uint32)
    told = list(
        label_instances(classes, out, config, block=block or classes.shape, memory_bytes=memory)
    )
    words = [each for each in told if isinstance(each, str)]
    return out, [each for each in told if not isinstance(each, str)], words


def in_memory(classes: Labels, config: InstanceConfig) -> Labels:
    """Part every region of every class in its own box, and number in reading order."""
    found = []
    for value in np.unique(classes[classes > 0]):
        labels, n = ndimage.label(classes == value)
        for i in range(1, n + 1):
            (box,) = ndimage.find_objects((labels == i).astype(int))
            around = tuple(slice(max(b.start - 1, 0), b.stop + 1) for b in box)
            parts = np.zeros(classes.shape, int)
            parts[around] = part_object(labels[around] == i, config.neck_px)
            found += [np.flatnonzero(parts == k) for k in range(1, parts.max() + 1)]
    kept = sorted((at for at in found if len(at) >= config.smallest_px), key=lambda at: at[0])
    result = np.zeros(classes.size, np.uint32)
    for i, at in enumerate(kept, start=1):
        result[at] = i
    return result.reshape(classes.shape)


@st.composite
def blobs(draw: st.DrawFn) -> tuple[Labels, tuple[int, ...]]:
    """Round things of two classes, many of them touching, and blocks."""
    ndim = draw(st.integers(1, 3))
    shape = draw(st.tuples(*[st.integers(6, (200, 60, 20)[ndim - 1])] * ndim))
    seed = draw(st.integers(0, 2**32 - 1))
    n, radius = draw(st.integers(0, 12)), draw(st.floats(1, 9))
    block = draw(st.tuples(*[st.integers(4, n + 4) for n in shape]))
    found = disks(shape, n, radius, seed)
    return np.where(found % 3 == 0, 2 * (found > 0), 1) * (found > 0), block


@given(blobs(), st.sampled_from([0, 5, 30]), st.sampled_from([0.0, 1.0]))
def test_equals_the_search_in_memory(
    drawn: tuple[Labels, tuple[int, ...]], smallest: int, neck: float
) -> None:
    classes, block = drawn
    config = InstanceConfig(smallest_px=smallest, neck_px=neck)
    found, _, _ = instances(classes, config, block)
    np.testing.assert_array_equal(found, in_memory(classes, config))


@pytest.mark.parametrize("block", [(8, 8), (13, 50), (64, 7)])
def test_objects_across_borders_are_parted_as_in_one_piece(block: tuple[int, int]) -> None:
    classes = np.zeros((64, 100), np.uint8)
    y, x = np.mgrid[:64, :100]
    for centre in (20, 44, 68):
        classes[(y - 30) ** 2 + (x - centre) ** 2 <= 14**2] = 1
    in_blocks, _, _ = instances(classes, block=block)
    in_one, _, _ = instances(classes)
    np.testing.assert_array_equal(in_blocks, in_one)
    assert in_one.max() == 3
    assert instances(classes, WHOLE, block)[0].max() == 1
    assert [in_one[30, centre] for centre in (20, 44, 68)] == [1, 2, 3]


def test_there_are_as_many_objects_as_h_maxima_of_the_depth_of_the_whole_image() -> None:
    classes = (disks((150, 160), 60, 9, seed=5) > 0).astype(np.uint8)
    depth = ndimage.distance_transform_edt(classes).astype(np.float32)
    for neck in (0.5, 1.0, 2.0):
        flooded = reconstruction(depth - np.float32(neck), depth, footprint=CROSS)
        n = label(local_maxima(flooded, connectivity=1) & (classes > 0), connectivity=1).max()
        found, _, _ = instances(classes, InstanceConfig(neck_px=neck), (64, 64))
        assert found.max() == n


def test_objects_of_two_classes_that_touch_are_two() -> None:
    disk = (np.hypot(*(np.mgrid[:40, :40] - 20)) <= 15).astype(np.uint8)
    disk[:, 20:] *= 2
    for config in (WHOLE, PARTED):
        found, _, _ = instances(disk, config, (16, 16))
        assert found.max() == 2
        np.testing.assert_array_equal(found > 0, disk > 0)


def test_what_is_too_large_to_be_parted_stays_whole_and_is_told() -> None:
    classes = np.zeros((60, 200), np.uint8)
    y, x = np.mgrid[:60, :200]
    for row, column, radius in ((30, 30, 20), (30, 64, 20), (30, 150, 6), (30, 160, 6)):
        classes[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = 1
    found, _, words = instances(classes, block=(32, 32), memory=100 * 43 * 60)
    assert found.max() == 3
    assert words == [
        "1 object is too large to be parted in 0 MiB and left whole, the first at [9:52, 9:86]: "
        "raise memory_gib"
    ]
    assert instances(classes, block=(32, 32))[0].max() == 4


def test_progress_runs_from_nothing_to_all() -> None:
    classes = (disks((80, 90), 30, 8, seed=3) > 0).astype(np.uint8)
    for config in (WHOLE, PARTED):
        _, shares, words = instances(classes, config, (32, 32))
        assert shares == sorted(shares)
        assert 0 < shares[0] < shares[-1] == 1
        assert len(shares) >= 2 * 9  # twice over all blocks
        assert not words


def test_one_that_was_stopped_begins_anew(tmp_path: Path) -> None:
    classes = (disks((80, 90), 30, 8, seed=4) > 0).astype(np.uint8)
    expected, shares, _ = instances(classes, block=(32, 32))
    out = zarr.create_array(
        tmp_path / "x.zarr", shape=classes.shape, dtype=np.uint32, chunks=(32, 32)
    )
    for stop in (2, len(shares) // 2, len(shares) - 1):
        run = label_instances(classes, out, PARTED, block=(32, 32), memory_bytes=ENOUGH)
        for _ in range(stop):
            next(run)
        run.close()
    run = label_instances(classes, out, PARTED, block=(32, 32), memory_bytes=ENOUGH)
    assert list(run) == shares
    np.testing.assert_array_equal(out[...], expected)


def test_nuclei_that_touch_are_found_by_parting(data: Path) -> None:
    files = sorted((data / "dsb2018/labels").glob("*.tif"))[:60]
    scores = []
    for config in (WHOLE, PARTED):
        overlaps = []
        for file in files:
            truth = imread(file)
            found, _, _ = instances((truth > 0).astype(np.uint8), config, (100, 100))
            overlaps.append(find_overlaps(found, truth))
        scores.append(score_overlaps(pool_overlaps(overlaps), 0.5))
    whole, parted = scores
    assert parted.f1 > whole.f1 + 0.05
    assert parted.fn < whole.fn / 2
