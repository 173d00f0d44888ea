"""How wrong a prediction is at every pixel, where the truth is known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.axes import View, lead_shape, spatial_shape
from napari_unet.arrays.labels import open_labels_array
from napari_unet.arrays.source import as_picture
from napari_unet.config import InputError, LabelConfig
from napari_unet.library.card import restore
from napari_unet.library.folders import CONFIG
from napari_unet.models.tiles import surprise
from napari_unet.targets.grammar import background_value
from napari_unet.targets.ridge import carve_ridge
from napari_unet.targets.values import read_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.arrays.axes import Picture
    from napari_unet.inference.model import Model
    from napari_unet.tiling import Window


class Truth:
    """Labels, or the values that a regression model should tell; read tile by tile.

    Parameters
    ----------
    source : array, path or Picture
        With the axes of the image, but for its channels.
    model : Model
    image : Picture
        What is predicted.

    Raises
    ------
    InputError
        U102 when it has another shape than the image.
    """

    def __init__(self, source: Any, model: Model, image: Picture) -> None:
        card, ndim = model.card, model.card.model.ndim
        self._ndim, self._card = ndim, card
        self._config = _read_labels_config(model)
        values = bool(card.target)
        channels = card.model.classes if values else 1
        self._picture = as_picture(source, ndim, labels=not values, channels=channels, name="truth")
        found, expected = (
            (*lead_shape(picture, ndim), *spatial_shape(picture, ndim))
            for picture in (self._picture, image)
        )
        if found != expected:
            raise InputError(
                "U102",
                f"truth {_times(found)} ({self._picture.name}) does not match image "
                f"{_times(expected)} ({image.name})",
                "crop one of them, or choose the truth that was made for this image",
            )

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self._picture.name

    def loss(
        self, logits: NDArray[np.float32], lead: tuple[int, ...], window: Window
    ) -> NDArray[np.float32]:
        """Return the loss of every pixel that a tile writes.

        Parameters
        ----------
        logits : float32 array, (K, *written)
        lead : tuple of int
            Position on the leading axes.
        window : tuple of slice
            In pixels of the image.

        Returns
        -------
        float32 array, (*written)
            -log p of the true class; of values the squared error in units of the target, the mean
            over the channels. NaN where the truth is not known.

        Raises
        ------
        InputError
            U109, U110 or U116 for labels that are none.
        """
        view = View(self._picture, self._ndim, lead)
        if self._card.target:
            truth = view[(slice(None), *window)].astype(np.float32)
            wrong = restore(logits, self._card.target) - read_values(truth, self._config)[0]
            return np.asarray((wrong**2).mean(axis=0), np.float32)
        index = self._read_classes(view, window)
        return np.where(index < 0, np.float32(np.nan), surprise(logits, np.maximum(index, 0)))

    def _read_classes(self, view: View, window: Window) -> NDArray[np.intp]:
        """Return the true class index of each pixel; -1 where it is not known."""
        config = self._config
        context = (3**self._ndim - 1) // 2 if config.kind == "instances" and config.ridge else 0
        wide = tuple(
            slice(max(w.start - context, 0), min(w.stop + context, n))
            for w, n in zip(window, view.shape[1:], strict=True)
        )
        labels = open_labels_array(
            view[(slice(None), *wide)][0], self._picture.name, ignore=config.ignore
        )
        known = np.ones(labels.shape, bool)
        if config.ignore is not None:
            known &= labels != config.ignore
        if config.zero == "unlabelled":
            known &= labels != 0
        index = np.where(known, self._find(labels, known), -1)
        return index[tuple(
            slice(w.start - v.start, w.stop - v.start) for w, v in zip(window, wide, strict=True)
        )]  # fmt: skip

    def _find(self, labels: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return class indices; -1 for a value that the model does not know."""
        config = self._config
        if config.kind == "instances":
            objects = np.where(known & (labels != background_value(config)), labels, 0)
            return np.asarray((carve_ridge(objects) if config.ridge else objects) > 0, np.intp)
        index = np.full(labels.shape, -1, np.intp)
        for k, each in enumerate(self._card.classes):
            index[labels == each.value] = k
        return index


def _read_labels_config(model: Model) -> LabelConfig:
    """Read what labels meant when the model was trained."""
    path = model.folder / CONFIG
    if not path.is_file():
        return LabelConfig(kind=model.card.kind)
    return LabelConfig.model_validate(json.loads(path.read_text(encoding="utf-8"))["labels"])


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape)
