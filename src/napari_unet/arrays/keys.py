"""Keys of arrays, with an entry for each axis."""

from __future__ import annotations

from typing import Any


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
