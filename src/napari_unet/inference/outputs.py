"""Where predictions go: a zarr group, a TIFF file, or a dictionary of arrays."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.writing import check_writable, create_arrays, write_tiff
from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import DTypeLike

CHUNK: Mapping[int, int] = {1: 65536, 2: 512, 3: 64}  # pixels per edge of a chunk, by dimension


class Outputs:
    """Makes one array per output and, for a TIFF, writes it when all tiles are done.

    Parameters
    ----------
    out : path or MutableMapping
        `x.zarr` (a group with one array per output), `x.tif` (one output), or a mapping that
        receives numpy arrays.
    names : sequence of str
        The outputs that were asked for.

    Raises
    ------
    InputError
        U151 when a TIFF is asked to hold several outputs, U130 when it cannot be written.
    """

    def __init__(self, out: str | Path | MutableMapping[str, Any], names: Sequence[str]) -> None:
        self._arrays: MutableMapping[str, Any] = {}
        self._group: Any = None
        self.path = ""
        if isinstance(out, MutableMapping):
            self._arrays = out
            return
        path = Path(out)
        self.path = str(path)
        if path.suffix.lower() in {".tif", ".tiff"}:
            if len(names) > 1 or "attention" in names:
                raise InputError(
                    "U151", f"{path.name} holds one output, not {', '.join(names)}", "use x.zarr"
                )
            check_writable(path)
        elif path.suffix.lower() == ".zarr":
            self._group = create_arrays(path)
        else:
            raise InputError("U130", f"{path.name} is no .tif and no .zarr", "name it so")

    def create(
        self, name: str, shape: Sequence[int], dtype: DTypeLike, ndim: int, attrs: dict[str, Any]
    ) -> Any:
        """Make the array `name` of `shape`, whose last `ndim` axes are spatial."""
        if self._group is None:
            self._arrays[name] = np.zeros(tuple(shape), dtype)
            return self._arrays[name]
        chunks = (1,) * (len(shape) - ndim) + tuple(min(CHUNK[ndim], n) for n in shape[-ndim:])
        array = self._group.create_array(
            name, shape=tuple(shape), dtype=np.dtype(dtype), chunks=chunks, fill_value=0
        )
        array.attrs.update(attrs)
        return array

    def close(self, axes: str, spacing: Sequence[float] | None) -> None:
        """Write the TIFF, if that is what was asked for; `axes` are those of the result."""
        if self._group is None and self.path:
            (array,) = self._arrays.values()
            write_tiff(Path(self.path), array, axes[-array.ndim :], spacing)
