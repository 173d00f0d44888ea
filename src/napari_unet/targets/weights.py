"""Per-pixel weights of the loss: class weight + border term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import ValidationError

from napari_unet.config import WeightConfig, explain
from napari_unet.targets.balance import balance, count_classes
from napari_unet.targets.border import border_term
from napari_unet.targets.numbering import check_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class WeightMap:
    """The weights and what they are made of, each float32 (*S) and 0 in ignored pixels.

    Parameters
    ----------
    classes : float32 array, (*S)
        The weight of the class of each pixel.
    border : float32 array, (*S)
        The border term.
    total : float32 array, (*S)
        Their sum: what the loss is multiplied by.
    """

    classes: NDArray[np.float32]
    border: NDArray[np.float32]
    total: NDArray[np.float32]


def weight_map(
    labels: ArrayLike,
    w0: float = 10.0,
    sigma: float = 5.0,
    where: Literal["background", "everywhere"] = "background",
    spacing: Sequence[float] | None = None,
    ignore: int | None = None,
) -> WeightMap:
    """Weigh the pixels of instance labels: w = w_c + w0 exp(-(d1 + d2)^2 / (2 sigma^2)).

    Objects and background weigh the same in total and 1 on average (w_c); pixels between near
    objects weigh more (Ronneberger et al. 2015, eq. 2). Labels are taken as given: part
    touching objects before with `carve_ridge`, if they should be.

    Parameters
    ----------
    labels : integer array, (*S)
        0 is background, every object has its own number. One to three axes.
    w0 : float
        Height of the border term, 0 to 1000.
    sigma : float
        Reach of the border term, in pixels, or in units of `spacing`.
    where : {"background", "everywhere"}
        Whether the pixels of objects get the border term too.
    spacing : sequence of float, optional
        Size of a pixel along each axis.
    ignore : int, optional
        A label value that is no object and weighs nothing.

    Returns
    -------
    WeightMap
        `classes`, `border` and `total`, each float32 (*S).

    Raises
    ------
    InputError
        U150 for a setting out of range; U109, U110, U112, U113, U116 for labels that are none.
    """
    config = _check_settings(w0, sigma, where, spacing)
    whole = check_labels(labels, ignore)
    labelled = np.ones(whole.shape, bool) if ignore is None else whole != ignore
    objects = np.where(labelled, whole, whole.dtype.type(0))
    classes = (objects > 0).view(np.uint8)
    return weigh(classes, objects, labelled, balance(count_classes(classes, labelled, 2)), config)


def weigh(
    classes: NDArray[np.integer[Any]],
    objects: NDArray[np.integer[Any]],
    labelled: NDArray[np.bool_],
    class_weights: NDArray[np.float64],
    config: WeightConfig,
) -> WeightMap:
    """Add the border term to the class weights and silence what is not labelled.

    Parameters
    ----------
    classes : integer array, (*S)
        Class index of each pixel.
    objects : integer array, (*S)
        0 is background, every object has its own number.
    labelled : bool array, (*S)
        False where the weight is 0.
    class_weights : float64 array, (n,)
        See `balance`; all 1 if `config.balance_classes` is False.
    config : WeightConfig
        Height, reach and place of the border term.
    """
    chosen = class_weights if config.balance_classes else np.ones(len(class_weights))
    by_class = chosen.astype(np.float32)[classes]
    border = border_term(objects, config.w0, config.sigma, config.where, config.spacing)
    by_class[~labelled] = 0
    border[~labelled] = 0
    return WeightMap(by_class, border, by_class + border)


def _check_settings(
    w0: float, sigma: float, where: str, spacing: Sequence[float] | None
) -> WeightConfig:
    settings = {
        "w0": w0,
        "sigma": sigma,
        "where": where,
        "spacing": None if spacing is None else tuple(spacing),
    }
    try:
        return WeightConfig.model_validate(settings)
    except ValidationError as error:
        raise explain(error) from None
