"""Labels that lie beside their image are found out, and none that lie on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.arrays.files import open_picture
from napari_unet.arrays.samples import membranes, touching_cells
from napari_unet.targets.shift import find_shift

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# every so many of a folder, and how many of the shifted ones have to be found: none where the
# edges of the image say too little
FOLDERS = {
    "dsb2018/labels": (30, 0.8),
    "ctc_phc_u373/labels_ST": (7, 0.5),
    "isbi2012_em/labels": (9, 1.0),
    "axondeepseg_sem/labels": (3, 1.0),
    "stardist_samples/labels": (1, 1.0),
    "msd_hippocampus/labels": (10, 0.0),
}
SHIFTS = ((6, 0), (0, -6), (4, 4))


def read(path: Path, labels: Path) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    drawn = np.asarray(open_picture(labels, ndim=2, labels=True).data).squeeze()
    picture = open_picture(path, ndim=drawn.ndim)
    image = np.asarray(picture.data, np.float32).squeeze()
    if "C" in picture.axes and image.ndim > drawn.ndim:
        image = np.moveaxis(image, picture.axes.index("C"), 0)
    return image.reshape(-1, *drawn.shape), drawn


def move(image, labels, shift):
    """Cut image and labels so that the labels lie `shift` too far, and nothing is made up."""
    shift = (*shift, *(0,) * (labels.ndim - len(shift)))
    ours = tuple(slice(max(s, 0), n + min(s, 0)) for s, n in zip(shift, labels.shape, strict=True))
    theirs = tuple(
        slice(max(-s, 0), n + min(-s, 0)) for s, n in zip(shift, labels.shape, strict=True)
    )
    return image[(slice(None), *ours)], labels[theirs], shift


def found(image, labels) -> tuple[int, ...] | None:
    return find_shift(image, labels, np.ones(labels.shape, bool))


@pytest.mark.parametrize("folder", FOLDERS)
def test_real_labels_are_in_place_and_moved_ones_are_found(folder: str, data: Path) -> None:
    every, share = FOLDERS[folder]
    hits = []
    for path in sorted(data.joinpath(folder).glob("*.tif"))[::every]:
        image, labels = read(data / folder.split("/")[0] / "images" / path.name, path)
        assert found(image, labels) is None, path.name
        for wanted in SHIFTS:
            there = move(image, labels, wanted)
            shift = found(*there[:2])
            assert shift is None or share == 0 or max(np.abs(np.subtract(shift, there[2]))) <= 2
            hits.append(shift is not None)
    assert hits
    assert np.mean(hits) >= share


@pytest.mark.parametrize("sample", [touching_cells, membranes])
def test_drawn_labels_are_in_place(sample) -> None:
    for seed in range(5):
        image, labels = sample((128, 128), seed=seed)
        assert found(image[None], labels) is None


@pytest.mark.parametrize("shift", [(6, 0), (-5, 4)])
def test_drawn_labels_are_found_where_they_were_moved(shift: tuple[int, int]) -> None:
    for seed in range(3):
        image, labels = touching_cells((192, 192), seed=seed)
        image, labels, _ = move(image[None], labels, shift)
        assert found(image, labels) == pytest.approx(shift, abs=1)


def test_what_is_not_labelled_has_no_say() -> None:
    image, labels = touching_cells((128, 128), seed=0)
    labelled = np.zeros(labels.shape, bool)
    labelled[:64] = True
    scribbled = np.where(labelled, labels, 0)  # a straight border across cells, at pixel 64
    assert find_shift(image[None], scribbled, labelled) is None
    assert find_shift(image[None, :-6], scribbled[6:], labelled[6:]) == pytest.approx(
        (-6, 0), abs=1
    )
    assert find_shift(image[None], scribbled, np.zeros_like(labelled)) is None


def test_of_noise_and_of_nothing_nothing_is_said() -> None:
    rng = np.random.default_rng(0)
    _, labels = touching_cells((128, 128), seed=0)
    for image in (rng.normal(size=(1, 128, 128)), np.zeros((1, 128, 128))):
        assert found(image, labels) is None
    assert found(rng.normal(size=(1, 128, 128)), np.zeros((128, 128), int)) is None
    assert found(np.zeros((1, 5, 128)), np.eye(5, 128, dtype=int)) is None


def test_of_a_large_image_the_labelled_part_is_looked_at() -> None:
    image, labels = touching_cells((128, 128), seed=0)
    large, drawn = np.zeros((1, 3000, 2000), np.float32), np.zeros((3000, 2000), int)
    large[0, 2500:2628, 1200:1328], drawn[2506:2634, 1200:1328] = image, labels
    labelled = np.zeros(drawn.shape, bool)
    labelled[2506:2634, 1200:1328] = True
    assert find_shift(large, drawn, labelled) == pytest.approx((6, 0), abs=1)
