"""Small labels of one to three axes, drawn by hypothesis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHAPES = array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9)


def labels_of(
    values: Sequence[int], shapes: Any = SHAPES, dtype: type = np.int64
) -> st.SearchStrategy[NDArray[np.integer[Any]]]:
    """Labels that hold some of `values`; half of the time mostly the first of them."""
    element = st.sampled_from(values)
    fill = st.sampled_from([st.nothing(), st.just(values[0])])
    return fill.flatmap(lambda each: arrays(dtype, shapes, elements=element, fill=each))


def disks(shape: Sequence[int], n: int, radius: float, seed: int) -> NDArray[np.int32]:
    """Disks, balls or intervals 1 to n, in any place, the later ones behind the earlier."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    grid = np.indices(shape)
    for number in range(1, n + 1):
        offset = (g - rng.integers(0, s) for g, s in zip(grid, shape, strict=True))
        inside = sum(o**2 for o in offset) <= radius**2
        labels[inside & (labels == 0)] = number
    return labels
