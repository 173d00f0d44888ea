"""The weight maps of the loss, computed in a thread of the viewer and shown as layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.axes import lead_shape, name_axes, spatial_shape, views
from napari_unet.ui.results import MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.axes import Picture
    from napari_unet.config import LabelConfig, WeightConfig
    from napari_unet.targets.targets import Targets
    from napari_unet.ui.layers import Source
    from napari_unet.ui.results import LayerTuple

COLORMAPS: Mapping[str, str] = {
    "class weights": "cividis",
    "border term": "inferno",
    "total weight": "viridis",
}


@dataclass(frozen=True, slots=True)
class Maps:
    """What pixels of one layer of labels (or of values) weigh, each array as (*lead, *S) float32.

    `ignored` is uint8: 1 where a pixel counts nowhere.
    """

    name: str
    arrays: Mapping[str, NDArray[np.float32]]
    ignored: NDArray[np.uint8]
    notes: tuple[str, ...]


def weight_maps(
    labels: Sequence[Source],
    ndim: int,
    label_config: LabelConfig,
    weight_config: WeightConfig,
    stopped: Callable[[], bool],
) -> list[Maps]:
    """Make the arrays that enter the loss; runs in a thread.

    Parameters
    ----------
    labels : sequence of Source
        All labels of the training set: class weights balance over them. In regression the
        targets: there every pixel that is known weighs the same, and only the total is made.
    ndim : int
        Dimensions of the network; further axes are looped over.
    label_config, weight_config
        As for `read_labels`.
    stopped : callable
        Asked before the labels of each image are read; true ends the work without a map.

    Raises
    ------
    InputError
        For labels that training would refuse.
    """
    from napari_unet.targets.balance import balance
    from napari_unet.targets.grammar import recognise
    from napari_unet.targets.targets import make_targets, read_labels
    from napari_unet.targets.threads import map_in_threads

    values = label_config.kind == "regression"
    pictures = [
        name_axes(source.data, source.axes, ndim=ndim, name=source.name, labels=not values)
        for source in labels
    ]
    if values:
        return [_known(picture, ndim, label_config) for picture in pictures if not stopped()]
    planes = [_planes(picture, ndim) for picture in pictures]
    grammar = recognise([plane for picture in planes for plane in picture], label_config)
    readings = []
    for own in planes:
        if stopped():
            return []
        readings.append(
            map_in_threads(lambda p: read_labels(p, grammar, label_config, weight_config), own)
        )
    counts = np.sum([reading.counts for own in readings for reading in own], axis=0)
    class_weights = balance(counts) if weight_config.balance_classes else np.ones(len(counts))
    made = []
    for picture, read in zip(pictures, readings, strict=True):
        targets = [make_targets(reading, weight_config, class_weights) for reading in read]
        shape = (*lead_shape(picture, ndim), *spatial_shape(picture, ndim))
        made.append(_maps(picture.name, targets, shape, grammar.notes))
    return made


def map_layers(
    maps: Maps, keywords: Mapping[str, Any], source: object, shown: str
) -> list[LayerTuple]:
    """Turn maps into layers on the space of their labels.

    Parameters
    ----------
    maps : Maps
        From `weight_maps`.
    keywords : mapping
        Spatial metadata.
    source : object
        The `unique_id` of the labels, so that a later map replaces this one.
    shown : str
        The one that is visible; the others can be switched on.
    """
    made: list[LayerTuple] = []
    for what, array in maps.arrays.items():
        meta = {
            "name": f"{maps.name}: {what}",
            "colormap": COLORMAPS[what],
            "contrast_limits": (0.0, float(array.max()) or 1.0),
            "blending": "translucent",
            "opacity": 0.8,
            "visible": what == shown,
            "metadata": {MARK: {"labels": source, "map": what}},
            **keywords,
        }
        made.append((array, meta, "image"))
    if maps.ignored.any():
        meta = {
            "name": f"{maps.name}: ignored",
            "colormap": {None: (0, 0, 0, 0), 1: (0.5, 0.5, 0.5, 1)},
            "opacity": 0.5,
            "metadata": {MARK: {"labels": source, "map": "ignored"}},
            **keywords,
        }
        made.append((maps.ignored, meta, "labels"))
    return made


def _known(picture: Picture, ndim: int, config: LabelConfig) -> Maps:
    """Weigh the pixels of a target: 1, or 0 where its value is not known."""
    from napari_unet.targets.values import read_values

    shape = (*lead_shape(picture, ndim), *spatial_shape(picture, ndim))
    planes = [np.asarray(view, np.float32) for view in views(picture, ndim)]
    weights = np.stack([read_values(plane, config)[1] for plane in planes]).reshape(shape)
    return Maps(
        name=picture.name,
        arrays={"total weight": weights},
        ignored=(weights == 0).astype(np.uint8),
        notes=("regression has no classes and no borders: all pixels that are known weigh 1",),
    )


def _planes(picture: Picture, ndim: int) -> list[NDArray[Any]]:
    """Read the labels (*S) at every position of the axes that are looped over."""
    from napari_unet.arrays.labels import open_labels_array

    whole = (slice(None),) * (ndim + 1)
    return [np.asarray(open_labels_array(view[whole][0])) for view in views(picture, ndim)]


def _maps(
    name: str, targets: Sequence[Targets], shape: tuple[int, ...], notes: tuple[str, ...]
) -> Maps:
    def stack(planes: list[NDArray[Any]]) -> NDArray[Any]:
        return np.stack(planes).reshape(shape)

    return Maps(
        name=name,
        arrays={
            "class weights": stack([t.map.classes for t in targets]),
            "border term": stack([t.map.border for t in targets]),
            "total weight": stack([t.map.total for t in targets]),
        },
        ignored=stack([(~t.labelled).astype(np.uint8) for t in targets]),
        notes=notes,
    )
