"""What the numbers in a set of labels mean, found out once for the whole training set."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.config import InputError
from napari_unet.targets.numbering import check_labels, number_regions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_unet.config import LabelConfig

MOST_CLASSES = 256
MANY_CLASSES = 20  # from here on, objects taken for classes are the likelier reading
FEW_OBJECTS, MANY_PARTS = 8, 4  # so few numbers, in so many places each, look like classes


@dataclass(frozen=True, slots=True)
class Grammar:
    """The meaning of label values.

    Parameters
    ----------
    values : tuple of int
        Of classes: the label value of each class index; the first is the background of the
        border term. Of instances: (0, 1), not object and object.
    names : tuple of str
        One for each class index.
    notes : tuple of str
        What was decided, in words for the user.
    split : bool
        Of instances: all objects share one number, so each connected region is one object.
    kind : {"classes", "instances"}
        What the values stand for.
    """

    values: tuple[int, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    split: bool = False
    kind: Literal["classes", "instances"] = "classes"


def recognise(
    labels: Sequence[ArrayLike], config: LabelConfig, n_classes: int | None = None
) -> Grammar:
    """Find out what the values of all `labels` of a training set mean.

    Of classes, the values that occur become the class indices 0, 1, 2, ... in their order.
    With `n_classes`, values that already are such indices (from 1 on where 0 is unlabelled)
    stay themselves, also where some are missing.

    Of instances, 0 is background and every other number an object. Where 0 is unlabelled, the
    value 1 is background and the objects start at 2. If all objects share one number, each
    connected region (corners connect) is one object.

    Where the kind is auto, up to 8 numbers that stand in many places are classes, and so are up to
    8 numbers where 0 is unlabelled: scribbles. All else is instances.

    Parameters
    ----------
    labels : sequence of integer arrays, (*S) each
        The labels of all images of the set.
    config : LabelConfig
        The kind of labels, what 0 means, and the ignored value.
    n_classes : int, optional
        How many classes the network can tell apart; 1 (one logit) tells two.

    Returns
    -------
    Grammar

    Raises
    ------
    InputError
        U101 no labels, U105 no labelled pixel, U106 one class only, U108 more classes than the
        network has, U111 too many values for classes; U109, U110, U112, U116 not labels.
    """
    counts = _count_values(labels, config)
    present = {v: counts[v] for v in sorted(counts) if not _is_ignored(v, config)}
    _require_labels(present, counts, config)
    notes = _tell_ignored(counts, config)
    kind, words = _choose_kind(labels, present, config)
    if kind == "instances":
        return _read_instances(labels, present, config, notes + words)
    return _read_classes(present, config, n_classes, notes + words)


def background_value(config: LabelConfig) -> int:
    """Return the value that is background among instances: 0, or 1 where 0 is unlabelled."""
    return 1 if config.zero == "unlabelled" else 0


def _is_ignored(value: int, config: LabelConfig) -> bool:
    return value == config.ignore or (value == 0 and config.zero == "unlabelled")


def _count_values(labels: Sequence[ArrayLike], config: LabelConfig) -> Counter[int]:
    if not len(labels):
        raise InputError("U101", "there are no labels", "draw or open labels for the image")
    counts: Counter[int] = Counter()
    for number, array in enumerate(labels, start=1):
        name = "labels" if len(labels) == 1 else f"labels {number} of {len(labels)}"
        values, n = _occurring(check_labels(array, config.ignore, name))
        counts.update(dict(zip(values.tolist(), n.tolist(), strict=True)))
    return counts


def _occurring(whole: NDArray[np.integer[Any]]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the values that occur, and how often; without sorting where they are small."""
    if whole.min() < 0 or whole.max() > whole.size:
        return np.unique(whole, return_counts=True)
    counts = np.bincount(whole.ravel().astype(np.intp, copy=False))
    values = np.flatnonzero(counts)
    return values, counts[values]


def _require_labels(present: Mapping[int, int], counts: Counter[int], config: LabelConfig) -> None:
    if any(value != 0 for value in present):
        return
    what = f"none of {counts.total():,} pixels is labelled (values: {_list(counts)})"
    if config.ignore is not None and counts[config.ignore]:
        what += f"; {counts[config.ignore]:,} with value {config.ignore} are ignored"
    raise InputError("U105", what, "draw at least one object and some background")


def _tell_ignored(counts: Counter[int], config: LabelConfig) -> tuple[str, ...]:
    n_ignored = sum(n for value, n in counts.items() if _is_ignored(value, config))
    if not n_ignored:
        return ()
    values = _list(value for value in counts if _is_ignored(value, config))
    share = n_ignored / counts.total()
    return (f"{n_ignored:,} pixels ({share:.1%}) with value {values} are ignored",)


def _choose_kind(
    labels: Sequence[ArrayLike], present: Mapping[int, int], config: LabelConfig
) -> tuple[str, tuple[str, ...]]:
    """Return the kind of the labels, with a word on it where it was to be found out."""
    if config.kind != "auto":
        return config.kind, ()
    objects = [value for value in present if value != 0]
    if len(objects) > FEW_OBJECTS:
        return "instances", (f"{len(objects):,} numbers: read as instances",)
    if config.zero == "unlabelled":
        return "classes", (f"values {_list(present)} on unlabelled ground: read as classes",)
    n_regions = _count_parts(labels, objects) if len(objects) > 1 else 0
    if n_regions:
        why = f"values {_list(objects)} stand in {n_regions:,} regions"
        return "classes", (f"{why}: read as classes",)
    return "instances", (f"values {_list(present)}: read as instances",)


def _read_instances(
    labels: Sequence[ArrayLike],
    present: Mapping[int, int],
    config: LabelConfig,
    notes: tuple[str, ...],
) -> Grammar:
    background = background_value(config)
    objects = [value for value in present if value != background]
    if not objects:
        raise _one_class(present, "draw objects with numbers from 2 on, 1 is background")
    if background not in present:
        _require_ridge(present, config)
        notes += ("no pixel is 0: the line between touching objects becomes background",)
    if background == 1:
        notes += ("0 is unlabelled: 1 is read as background, 2 and above as objects",)
    split = len(objects) == 1
    if split:
        notes += (
            f"labels hold {_list(present)} only: read as background and objects, "
            "one for each connected region",
        )
    elif len(objects) <= FEW_OBJECTS and config.kind == "instances":
        notes += _tell_parts(labels, objects)
    return Grammar((0, 1), ("background", "object"), notes, split, "instances")


def _tell_parts(labels: Sequence[ArrayLike], objects: Sequence[int]) -> tuple[str, ...]:
    """Warn of classes taken for instances: few numbers, each in many places."""
    n_regions = _count_parts(labels, objects)
    if not n_regions:
        return ()
    return (
        f"{len(objects)} numbers ({_list(objects)}) stand in {n_regions:,} regions: "
        "if they are classes, choose kind = classes",
    )


def _count_parts(labels: Sequence[ArrayLike], objects: Sequence[int]) -> int:
    """Count the connected regions of all objects; 0 where they are too few for classes."""
    found = []
    for array in map(np.asarray, labels):
        inside = np.isin(array, objects)
        if inside.any():
            found.append(int(number_regions(np.where(inside, array, 0)).max()))
    return sum(found) if sum(found) > MANY_PARTS * len(objects) * len(found) else 0


def _require_ridge(present: Mapping[int, int], config: LabelConfig) -> None:
    """Without background, objects must touch and the ridge between them be carved."""
    if config.zero == "unlabelled":
        raise _one_class(present, "draw some background with value 1, objects from 2 on")
    if not config.ridge or len(present) < 2:
        raise _one_class(present, "leave some background (0) between or around the objects")


def _read_classes(
    present: Mapping[int, int], config: LabelConfig, n_classes: int | None, notes: tuple[str, ...]
) -> Grammar:
    if len(present) > MOST_CLASSES:
        what = f"labels hold {len(present):,} different values ({_list(present)}) as classes"
        remedy = f"choose kind = instances, or draw at most {MOST_CLASSES} classes"
        raise InputError("U111", what, remedy)
    if len(present) == 1:
        raise _one_class(present, "draw a second class")
    values = _class_values(tuple(present), config, n_classes)
    names = tuple("background" if value == 0 else f"class {value}" for value in values)
    return Grammar(values, names, notes + _tell_classes(values, present))


def _class_values(
    present: tuple[int, ...], config: LabelConfig, n_classes: int | None
) -> tuple[int, ...]:
    if n_classes is None:
        return present
    n = max(n_classes, 2)  # one logit tells two classes apart
    plain = tuple(range(background_value(config), background_value(config) + n))
    if set(present) <= set(plain):
        return plain
    if len(present) > n:
        what = f"labels hold {len(present)} classes ({_list(present)}), the network has {n}"
        raise InputError("U108", what, f"set classes to {len(present)}, or draw {n} classes")
    return present


def _tell_classes(values: tuple[int, ...], present: Mapping[int, int]) -> tuple[str, ...]:
    notes = []
    if len(values) == 2 and values[0] == 0 and values[1] != 1:
        notes.append(f"labels hold {_list(values)} only: read as background and one class")
    elif values != tuple(range(len(values))):
        notes.append(f"values {_list(values)} are read as classes 0 to {len(values) - 1}")
    if values[0] != 0:
        notes.append(f"value {values[0]} is the background of the border term")
    missing = [value for value in values if value not in present]
    if missing:
        notes.append(f"no pixel has value {_list(missing)}")
    if len(present) >= MANY_CLASSES:
        notes.append(f"{len(present)} classes: if they are objects, choose kind = instances")
    return tuple(notes)


def _one_class(present: Mapping[int, int], remedy: str) -> InputError:
    n = sum(present.values())
    which = f"value {_list(present)}" if len(present) == 1 else f"values {_list(present)}"
    return InputError("U106", f"all {n:,} labelled pixels are of one class ({which})", remedy)


def _list(values: Iterable[int]) -> str:
    """Write values as '0, 1 and 255', at most six of them."""
    words = [str(value) for value in sorted(values)]
    if len(words) > 6:
        words = [*words[:4], "...", words[-1]]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
