"""Putting layer tuples into a viewer, and finding them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.ui.layers import find_layer
from napari_unet.ui.results import MARK
from napari_unet.ui.space import space

if TYPE_CHECKING:
    from collections.abc import Sequence

    import napari.viewer
    from napari.layers import Layer

    from napari_unet.ui.results import LayerTuple


def show(viewer: napari.viewer.Viewer, made: LayerTuple) -> object:
    """Add a layer and return the key by which `find_layer` finds it.

    Its key is added to its mark: a duplicate that the user makes of it has the same metadata.
    """
    data, meta, kind = made
    layer = getattr(viewer, f"add_{kind}")(data, **meta)
    if MARK in layer.metadata:
        layer.metadata[MARK] = {**layer.metadata[MARK], "layer": layer.unique_id}
    return layer.unique_id


def show_anew(viewer: napari.viewer.Viewer, made: LayerTuple) -> object:
    """Add a layer, or fill the one that was made for the same purpose before."""
    data, meta, kind = made
    earlier = find_marked(viewer, meta["metadata"][MARK])
    if earlier is None:
        return show(viewer, made)
    ndim = np.shape(data)[-1] if kind == "points" else np.ndim(data)
    if kind == "shapes" or earlier.ndim != ndim:
        remove(viewer, earlier.unique_id)
        return show(viewer, made)
    before = space(earlier) | {"contrast_limits": getattr(earlier, "contrast_limits", None)}
    for name in ("scale", "translate", "rotate", "shear", "affine", "contrast_limits"):
        if name in meta and not np.allclose(meta[name], before[name], rtol=1e-9, atol=1e-15):
            setattr(earlier, name, meta[name])  # napari draws the whole layer anew each time
    earlier.data = data
    if kind == "points":
        earlier.features = meta["features"]
    return earlier.unique_id


def find_marked(viewer: napari.viewer.Viewer, mark: dict[str, Any]) -> Layer | None:
    """Return the layer with this mark in its metadata, if there is one; no duplicate of it."""
    return next((x for x in viewer.layers if mark.items() <= _mark(x).items()), None)


def _mark(layer: Layer) -> dict[str, Any]:
    mark = dict(layer.metadata.get(MARK, {}))
    return mark if mark.get("layer") == layer.unique_id else {}


def remove(viewer: napari.viewer.Viewer, key: object) -> None:
    """Take a layer out of the viewer, if it is still there."""
    layer = find_layer(viewer.layers, key)
    if layer is not None:
        viewer.layers.remove(getattr(layer, "__wrapped__", layer))


def focus(viewer: napari.viewer.Viewer, layer: Layer) -> tuple[float, ...]:
    """Return the pixel of `layer` that the user looks at, per axis of the layer."""
    point = list(viewer.dims.point)
    scene = getattr(viewer, "scene", viewer)  # the camera moved there in napari 0.9
    centre = scene.camera.center[-viewer.dims.ndisplay :]
    for axis, position in zip(viewer.dims.displayed, centre, strict=True):
        point[axis] = position
    pixels = layer.world_to_data(point[-layer.ndim :])
    return tuple(
        float(np.clip(p, 0, n - 1)) for p, n in zip(pixels, layer.data.shape, strict=False)
    )


def go_to(viewer: napari.viewer.Viewer, layer: Layer, pixel: Sequence[float]) -> None:
    """Bring a pixel of `layer` into the middle of the view."""
    world = layer.data_to_world(pixel)
    first = viewer.dims.ndim - len(world)
    viewer.dims.set_point(range(first, viewer.dims.ndim), world)  # at once: each draws all layers
    scene = getattr(viewer, "scene", viewer)  # the camera moved there in napari 0.9
    point = list(scene.camera.center)
    shown = viewer.dims.displayed
    for k, axis in enumerate(shown, start=len(point) - len(shown)):
        if axis >= first:
            point[k] = world[axis - first]
    scene.camera.center = tuple(point)


def lay_side_by_side(viewer: napari.viewer.Viewer, *, enabled: bool) -> None:
    """Give every layer a cell of its own, or put all on one another again.

    What we made and left hidden, because it would cover the rest, is shown meanwhile.
    """
    for layer in viewer.layers:
        mark = layer.metadata.get(MARK)
        if mark is not None and enabled and not layer.visible:
            layer.visible = mark["revealed"] = True
        elif mark is not None and not enabled and mark.pop("revealed", False):
            layer.visible = False
    canvas = getattr(viewer, "canvas", viewer)  # the grid moved there in napari 0.9
    canvas.grid.enabled = enabled
    viewer.reset_view()
