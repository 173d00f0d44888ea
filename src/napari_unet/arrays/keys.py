"""Keys of arrays, with an entry for each axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def complete_key(key: Any, ndim: int) -> list[Any]:
    """Return what a key says of each of `ndim` axes; those that it leaves out are taken whole.

    Examples
    --------
    >>> complete_key((0, ...), 3)
    [0, slice(None, None, None), slice(None, None, None)]
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in keys:
        i = keys.index(Ellipsis)
        keys[i : i + 1] = [slice(None)] * (ndim - len(keys) + 1)
    return keys + [slice(None)] * (ndim - len(keys))


def complete_slices(key: Any, shape: Sequence[int]) -> list[slice]:
    """Return a slice of whole numbers for each axis of a view of `shape`.

    Raises IndexError for a key with other things than slices, or with more of them than axes.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    if len(keys) > len(shape) or not all(isinstance(k, slice) for k in keys):
        raise IndexError(f"a view of {len(shape)} axes takes slices, not {key!r}")
    keys = complete_key(tuple(keys), len(shape))
    return [slice(*k.indices(n)) for k, n in zip(keys, shape, strict=True)]
