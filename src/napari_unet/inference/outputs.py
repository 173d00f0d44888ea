"""Where predictions go: a zarr group, a TIFF file, or a dictionary of arrays."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.writing import check_writable, create_arrays, storing, write_tiff
from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import DTypeLike

CHUNK: Mapping[int, int] = {1: 65536, 2: 512, 3: 64}  # pixels per edge of a chunk, by dimension
COMPLETE = "complete"  # attribute of a zarr group: set when the last tile is written
TIFF_SUFFIXES = (".tif", ".tiff")


class Outputs:
    """Makes one array per output and, for a TIFF, writes it when all tiles are done.

    Nothing is written before `create`. A zarr group is a finished prediction once its
    attribute `complete` is true; a TIFF exists only then.

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
        self._attrs: dict[str, Any] = {}  # of the array of a TIFF
        self._group: Any = None
        self.path = ""
        if isinstance(out, MutableMapping):
            self._arrays = out
            return
        path = Path(out)
        self.path = str(path)
        if path.suffix.lower() not in {*TIFF_SUFFIXES, ".zarr"}:
            raise InputError("U130", f"{path.name} is no .tif and no .zarr", "name it so")
        if self._is_tiff and (len(set(names)) > 1 or "attention" in names):
            raise InputError(
                "U151", f"{path.name} holds one output, not {', '.join(names)}", "use x.zarr"
            )
        check_writable(path)

    @property
    def _is_tiff(self) -> bool:
        return self.path.lower().endswith(TIFF_SUFFIXES)

    def create(
        self, name: str, shape: Sequence[int], dtype: DTypeLike, ndim: int, attrs: dict[str, Any]
    ) -> Any:
        """Make the array `name` of `shape`, whose last `ndim` axes are spatial.

        `attrs` holds `axes`, one letter per axis, and `spacing` where it is known. What is not
        computed yet is 0, but for values, of which 0 may be one: NaN.
        """
        fill = np.nan if name == "values" else 0
        if not self.path or self._is_tiff:
            self._arrays[name], self._attrs = np.full(tuple(shape), fill, dtype), attrs
            return self._arrays[name]
        if self._group is None:
            logging.getLogger("asyncio").addFilter(_is_news)
            self._group = create_arrays(self.path)
        chunks = (1,) * (len(shape) - ndim) + tuple(min(CHUNK[ndim], n) for n in shape[-ndim:])
        return self._group.create_array(
            name,
            shape=tuple(shape),
            dtype=np.dtype(dtype),
            chunks=chunks,
            fill_value=fill,
            attributes=attrs,
            dimension_names=[letter.lower() for letter in attrs["axes"]],
        )

    def storing(self) -> AbstractContextManager[None]:
        """Return a context in which a disk that cannot take more is told as such."""
        return storing(self.path)

    def close(self) -> None:
        """Write the TIFF, or mark the group as complete."""
        if self._is_tiff:
            (array,) = self._arrays.values()
            write_tiff(self.path, array, self._attrs["axes"], self._attrs.get("spacing"))
        elif self._group is not None:
            with self.storing():
                self._group.attrs[COMPLETE] = True


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out chunks that fail beside the first one, which is told: zarr drops the others."""
    dropped = "exception was never retrieved" in record.getMessage()
    return not (dropped and record.exc_info and isinstance(record.exc_info[1], OSError))
