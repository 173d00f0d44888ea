"""Sample data of the manifest: images made by code, with labels that are true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.arrays.samples import SAMPLES

if TYPE_CHECKING:
    from napari_unet.ui.results import LayerTuple


def touching_cells() -> list[LayerTuple]:
    """Return round cells that touch (2-D), their labels, and another image to predict."""
    return _sample("cells", "touching cells")


def nuclei_3d() -> list[LayerTuple]:
    """Return nuclei in a volume (3-D, coarser along Z), their labels, and another volume."""
    return _sample("nuclei", "nuclei", scale=(3.0, 1.0, 1.0), axis_labels=("z", "y", "x"))


def membranes() -> list[LayerTuple]:
    """Return cells parted by dark membranes (2-D), two classes of labels, and another image."""
    return _sample("membranes", "membranes")


def signals() -> list[LayerTuple]:
    """Return signals with two kinds of events (1-D, one per row), their labels, and others."""
    return _sample("signals", "signals", scale=(8.0, 1.0), axis_labels=("signal", "x"))


def _sample(
    key: str,
    name: str,
    scale: tuple[float, ...] = (1.0, 1.0),
    axis_labels: tuple[str, ...] = ("y", "x"),
) -> list[LayerTuple]:
    image, labels = SAMPLES[key](seed=0)
    unseen, _ = SAMPLES[key](seed=1)
    space = {"scale": scale, "units": ("pixel",) * len(scale), "axis_labels": axis_labels}
    return [
        (image, {"name": name, **space}, "image"),
        (labels, {"name": f"{name} labels", **space}, "labels"),
        (unseen, {"name": f"{name}, another image", "visible": False, **space}, "image"),
    ]
