"""Per-pixel weights of the loss: class weight + border term, or those of Falk et al. 2019."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import ValidationError

from napari_unet.config import WeightConfig, explain
from napari_unet.targets.balance import balance, count_classes
from napari_unet.targets.border import border_term, near_term
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
        The weight of the class of each pixel; of falk2019, 1 on objects, `ratio` on background.
    border : float32 array, (*S)
        The border term; of falk2019, all that objects add to the background around them.
    total : float32 array, (*S)
        Their sum: what the loss is multiplied by.
    """

    classes: NDArray[np.float32]
    border: NDArray[np.float32]
    total: NDArray[np.float32]


def weight_map(  # noqa: PLR0913 - the settings of WeightConfig, by name
    labels: ArrayLike,
    w0: float = 10.0,
    sigma: float = 5.0,
    where: Literal["background", "everywhere"] = "background",
    spacing: Sequence[float] | None = None,
    ignore: int | None = None,
    *,
    formula: Literal["ronneberger2015", "falk2019"] = "ronneberger2015",
    ratio: float = 0.1,
    sigma_near: float = 10.0,
) -> WeightMap:
    """Weigh the pixels of instance labels: w = w_c + w0 exp(-(d1 + d2)^2 / (2 sigma^2)).

    Objects and background weigh the same in total and 1 on average (w_c); pixels between near
    objects weigh more (Ronneberger et al. 2015, eq. 2). With `formula` falk2019, objects weigh 1
    and background r + w0 exp(-(d1 + d2)^2 / (2 sigma^2)) + (1 - r) exp(-d1^2 / (2 sigma_near^2))
    with r = `ratio` (Falk et al. 2019, https://doi.org/10.1038/s41592-018-0261-2, whose plugin
    takes w0 = 50 and sigma = 6 px). Labels are taken as given: part touching objects before with
    `carve_ridge`, if they should be.

    Parameters
    ----------
    labels : integer array, (*S)
        0 is background, every object has its own number. One to three axes.
    w0 : float
        Height of the border term, 0 to 1000.
    sigma : float
        Reach of the border term, in pixels, or in units of `spacing`.
    where : {"background", "everywhere"}
        Whether the pixels of objects get the border term too; never in falk2019.
    spacing : sequence of float, optional
        Size of a pixel along each axis.
    ignore : int, optional
        A label value that is no object and weighs nothing.
    formula : {"ronneberger2015", "falk2019"}
        Which paper the weights follow.
    ratio : float
        falk2019: weight of background far from any object, 0 to 1.
    sigma_near : float
        falk2019: reach of the weight around objects, in the units of `sigma`.

    Returns
    -------
    WeightMap
        `classes`, `border` and `total`, each float32 (*S).

    Raises
    ------
    InputError
        U150 for a setting out of range; U109, U110, U112, U113, U116 for labels that are none.
    """
    config = _check_settings(
        formula=formula,
        w0=w0,
        sigma=sigma,
        ratio=ratio,
        sigma_near=sigma_near,
        where=where,
        spacing=None if spacing is None else tuple(spacing),
    )
    whole = check_labels(labels, ignore)
    labelled = np.ones(whole.shape, bool) if ignore is None else whole != ignore
    objects = np.where(labelled, whole, whole.dtype.type(0))
    classes = (objects > 0).view(np.uint8)
    border = weigh_border(classes, objects, labelled, config)
    return weigh(classes, border, labelled, balance(count_classes(classes, labelled, 2)), config)


def weigh_border(
    classes: NDArray[np.integer[Any]],
    objects: NDArray[np.integer[Any]],
    labelled: NDArray[np.bool_],
    config: WeightConfig,
) -> NDArray[np.float32]:
    """Weigh every pixel by the objects near it, and silence what is not labelled.

    Parameters
    ----------
    classes : integer array, (*S)
        Class index of each pixel.
    objects : integer array, (*S)
        0 is background, every object has its own number.
    labelled : bool array, (*S)
        False where the weight is 0.
    config : WeightConfig
        Formula, height, reach and place of the border term.

    Returns
    -------
    float32 array, (*S)
        The border term; of falk2019, all that objects add to the background around them.
    """
    if config.formula == "falk2019":
        border = _weigh_around(classes, objects, config)
    else:
        border = border_term(objects, config.w0, config.sigma, config.where, config.spacing)
    border[~labelled] = 0
    return border


def weigh(
    classes: NDArray[np.integer[Any]],
    border: NDArray[np.float32],
    labelled: NDArray[np.bool_],
    class_weights: NDArray[np.float64],
    config: WeightConfig,
) -> WeightMap:
    """Add the weight of its class to the border term of each pixel.

    Parameters
    ----------
    classes : integer array, (*S)
        Class index of each pixel.
    border : float32 array, (*S)
        From `weigh_border`.
    labelled : bool array, (*S)
        False where the weight is 0.
    class_weights : float64 array, (n,)
        See `balance`; all 1 if `config.balance_classes` is False. Not used by falk2019.
    config : WeightConfig
        The formula.
    """
    if config.formula == "falk2019":
        by_class = np.where(classes == 0, np.float32(config.ratio), np.float32(1))
    else:
        chosen = class_weights if config.balance_classes else np.ones(len(class_weights))
        by_class = chosen.astype(np.float32)[classes]
    by_class[~labelled] = 0
    return WeightMap(by_class, border, by_class + border)


def _weigh_around(
    classes: NDArray[np.integer[Any]], objects: NDArray[np.integer[Any]], config: WeightConfig
) -> NDArray[np.float32]:
    """Return what the objects of all classes add to the background around them (falk2019)."""
    around = np.zeros(classes.shape, np.float32)
    for index in range(1, int(classes.max()) + 1):
        own = classes == index
        same = np.where(own, objects, objects.dtype.type(0))
        around += border_term(same, config.w0, config.sigma, "background", config.spacing)
        around += (1 - config.ratio) * near_term(own, config.sigma_near, config.spacing)
    around[classes > 0] = 0
    return around


def _check_settings(**settings: Any) -> WeightConfig:
    try:
        return WeightConfig.model_validate(settings)
    except ValidationError as error:
        raise explain(error) from None
