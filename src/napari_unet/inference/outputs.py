"""Where predictions go: a zarr group, an OME-Zarr image, a TIFF file, or a dictionary of arrays."""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_unet.arrays import ome_writing
from napari_unet.arrays.chunks import create_array
from napari_unet.arrays.ome_metadata import check_axes
from napari_unet.arrays.ome_zarr import LEDGER
from napari_unet.arrays.tiff import read_note
from napari_unet.arrays.writing import (
    TEMPORARY,
    check_writable,
    create_arrays,
    is_ome_tiff,
    storing,
    stream_tiff,
    sweep,
)
from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import DTypeLike

COMPLETE = "complete"  # attribute of a result group, set last
MADE_OF = "made_of"  # attribute of the ledger
PACE_S = 0.5  # between two words of progress, at which it can be stopped
TIFF_SUFFIXES = (".tif", ".tiff")
OME_ZARR = ".ome.zarr"
UNKNOWN = ("values", "loss", "uncertainty")  # 0 would mean something: NaN until computed
LABELS = ("classes", "instances")
IMAGES = ("probabilities", "values", "uncertainty", "loss")  # the first one asked for is the image


class Outputs:
    """Makes one array per output, and the file they become when all tiles are written.

    Nothing is written before `create` or `group` is used. The arrays of a TIFF lie in a hidden
    zarr group beside it until then: `.napari-unet-x.tif.zarr` is the unfinished result.

    Parameters
    ----------
    out : path or MutableMapping
        `x.zarr` (a group with one array per output), `x.ome.zarr` (images with pyramids),
        `x.tif` (one output; OME-TIFF as `x.ome.tif`), or a mapping that receives numpy arrays.
    names : sequence of str
        The outputs that were asked for.
    resume : bool
        Go on with what lies there, where something does.

    Attributes
    ----------
    path : str
        Of the result; empty for a mapping.
    place : str
        Of the zarr group that holds the arrays meanwhile.

    Raises
    ------
    InputError
        U151 when a TIFF is asked to hold several outputs, or a mapping to be resumed; U130 when
        the result cannot be written.
    """

    def __init__(
        self,
        out: str | Path | MutableMapping[str, Any],
        names: Sequence[str],
        *,
        resume: bool = False,
    ) -> None:
        self.names = tuple(dict.fromkeys(names))
        self.path = self.place = ""
        self._memory: MutableMapping[str, Any] | None = None
        self._group: Any = None
        self._stored = False  # whether the TIFF is written
        if isinstance(out, MutableMapping):
            if resume:
                raise InputError("U151", "arrays in memory cannot be resumed", "use x.zarr")
            self._memory = out
            return
        self.path = self.place = str(out)
        self._check()
        logging.getLogger("asyncio").addFilter(_is_news)
        if self._is_tiff:
            sweep(Path(self.path).parent)
            self.place = str(unfinished(self.path))
            check_writable(self.place)
        if resume and Path(self.place).is_dir():
            with self.storing():
                self._group = zarr.open_group(self.place, mode="r+")

    @property
    def _is_tiff(self) -> bool:
        return self.path.lower().endswith(TIFF_SUFFIXES)

    @property
    def _is_ome(self) -> bool:
        return self.path.lower().endswith(OME_ZARR)

    def _check(self) -> None:
        path = Path(self.path)
        if path.suffix.lower() not in {*TIFF_SUFFIXES, ".zarr"}:
            raise InputError("U130", f"{path.name} is no .tif and no .zarr", "name it so")
        if self._is_tiff and (len(self.names) > 1 or "attention" in self.names):
            raise InputError(
                "U151", f"{path.name} holds one output, not {', '.join(self.names)}", "use x.zarr"
            )
        check_writable(path)

    @property
    def resumed(self) -> bool:
        """Whether there is a result to go on with."""
        return self._group is not None

    @property
    def made_of(self) -> Any:
        """What a finished TIFF says that it was made of (see the ledger); None where it is mute."""
        note = read_note(Path(self.path)) if self._is_tiff else ""
        return json.loads(note)[MADE_OF] if note.startswith(f'{{"{MADE_OF}"') else None

    def is_there(self, made_of: Any) -> bool:
        """Tell whether a TIFF is finished already; of a group its attribute tells.

        Raises InputError U151 for one that was made of something else, unless an unfinished one
        lies beside it, which takes its place.
        """
        if not self._is_tiff or not Path(self.path).is_file():
            return False
        same: bool = self.made_of == made_of
        if same:
            shutil.rmtree(self.place, ignore_errors=True)  # left behind by a crash
        elif not self.resumed:
            what = f"{self.path} is there, and was made of another image, model or settings"
            raise InputError("U151", what, "resume with the same, or choose another name")
        return same

    @property
    def group(self) -> Any:
        """The zarr group of the result, made on first use; None for a mapping."""
        if self._group is None and self._memory is None:
            self._group = create_arrays(self.place)
        return self._group

    def create(
        self,
        name: str,
        shape: Sequence[int],
        dtype: DTypeLike,
        ndim: int,
        attrs: Mapping[str, Any],
        cell: Sequence[int] | None = None,
    ) -> Any:
        """Make the array `name` of `shape`, whose last `ndim` axes are spatial, or open it again.

        Parameters
        ----------
        name : str
            Names that begin with a dot are not part of the result.
        attrs : mapping
            `axes`, one letter per axis; `spacing` and its `unit` where they are known; `stride`,
            `offset` and `classes` (name, value, colour of each) where there are any.
        cell : sequence of int, optional
            Edges of the tile grid: a tile then writes whole chunks. What is not computed yet is
            0, but NaN in values, loss and uncertainty, of which 0 may be one.

        Raises
        ------
        InputError
            U151 for axes that the format cannot hold.
        """
        fill = np.nan if name in UNKNOWN else 0
        if self._memory is not None:
            self._memory[name] = np.full(tuple(shape), fill, dtype)
            return self._memory[name]
        self.check_axes(attrs["axes"], name)
        pictured = self._is_pictured(name)
        if name in (self._places if pictured else self.group):
            return self._reopen(name, tuple(shape))
        if pictured:
            return self._create_image(
                name, shape, dtype, ndim=ndim, attrs=attrs, cell=cell, fill_value=fill
            )
        return create_array(
            self.group,
            name,
            shape,
            dtype,
            cell=cell,
            ndim=ndim,
            fill_value=fill,
            attributes=dict(attrs),
            dimension_names=[letter.lower() for letter in attrs["axes"]],
        )

    def check_axes(self, axes: str, name: str = "the result") -> None:
        """Refuse axes that the format cannot hold, before anything is written.

        Raises InputError U151: OME-Zarr knows no positions, OME of either kind no lines.
        """
        if self._is_pictured(name):
            check_axes(axes, name)
        if is_ome_tiff(self.path) and "Y" not in axes:
            raise InputError("U151", f"OME-TIFF has no place for the axes {axes}", "use x.tif")

    def _reopen(self, name: str, shape: tuple[int, ...]) -> Any:
        array = self.open(name)
        if array.shape != shape:
            raise InputError(
                "U151",
                f"{self.path} holds {name} of {array.shape}, not {shape}",
                "resume with the same image and region, or choose another name",
            )
        return array

    def open(self, name: str) -> Any:
        """Open an array that was made before; raises KeyError where there is none."""
        if self._memory is not None:
            return self._memory[name]
        if self._is_pictured(name):
            return ome_writing.open_level(self.group, self._places[name])
        return self.group[name]

    def remove(self, name: str) -> None:
        """Remove an array that is not part of the result."""
        if self._memory is None:
            del self.group[name]
        else:
            del self._memory[name]

    def storing(self) -> AbstractContextManager[None]:
        """Return a context in which a disk that cannot take more is told as such."""
        return storing(self.path)

    def finish(self) -> Iterator[str]:
        """Make of the arrays what was asked for: pyramids, or a TIFF; yields words of progress.

        What was finished before is kept, so that this may be stopped and begun again.
        """
        if self._is_tiff and not self._stored:
            yield from _in_words(f"writing {Path(self.path).name}", self._write_tiff())
            self._stored = True
        elif self._is_ome:
            for name, place in self._places.items():
                with self.storing():
                    yield from _in_words(
                        f"pyramid of {name}", ome_writing.build_pyramid(self.group, place)
                    )

    def close(self) -> None:
        """Finish what is not finished, and mark the result as complete."""
        for _ in self.finish():
            pass
        if self._is_tiff:
            shutil.rmtree(self.place, ignore_errors=True)
        elif self._memory is None:
            with self.storing():
                self._close_group()

    def _close_group(self) -> None:
        """Mark a group as complete, and remove the ledger: readers take any array for pixels."""
        known = self.group[LEDGER].attrs.asdict() if LEDGER in self.group else {}
        self.group.attrs.update({**known, COMPLETE: True})
        if LEDGER in self.group:
            del self.group[LEDGER]

    @property
    def _places(self) -> dict[str, str]:
        places: dict[str, str] = self.group.attrs.asdict().get(ome_writing.PLACES, {})
        return places

    def _is_pictured(self, name: str) -> bool:
        """Return whether an array becomes an image of an OME-Zarr."""
        return self._is_ome and not name.startswith(".")

    def _create_image(
        self,
        name: str,
        shape: Sequence[int],
        dtype: DTypeLike,
        *,
        attrs: Mapping[str, Any],
        **more: Any,
    ) -> Any:
        places = self._places
        place = self._choose_place(name, taken="" in places.values())
        named = {**attrs, "name": name}
        image = ome_writing.create_image(
            self.group, place, shape, dtype, attrs=named, overwrite=True, **more
        )
        self.group.attrs[ome_writing.PLACES] = {**places, name: place}
        return image

    def _choose_place(self, name: str, *, taken: bool) -> str:
        """Return the group of an image: "" for the one that other programs see first."""
        first = next((image for image in IMAGES if image in self.names), None)
        if name in LABELS:
            pictured = first is not None or "attention" in self.names
            return f"{ome_writing.LABELS}/{name}" if pictured or taken else ""
        return "" if name == first or (first is None and not taken) else name

    def _write_tiff(self) -> Iterator[float]:
        (name,) = self.names
        array = self.group[name]
        attrs = array.attrs.asdict()
        axes = attrs["axes"].replace("K", "C")
        made_of = self.group[LEDGER].attrs.get(MADE_OF) if LEDGER in self.group else None
        note = json.dumps({MADE_OF: made_of}) if made_of else ""
        unit = attrs.get("unit", "")
        return stream_tiff(self.path, array, axes, attrs.get("spacing"), unit, note)


def unfinished(path: str | Path) -> Path:
    """Return where the arrays of a TIFF lie until it is written: beside it, hidden."""
    path = Path(path)
    return path.with_name(f"{TEMPORARY}{path.name}.zarr")


def _in_words(what: str, shares: Iterator[float]) -> Iterator[str]:
    """Say now and then how far something is, and when it is done."""
    said_s = -math.inf
    for share in shares:
        if share == 1 or time.monotonic() - said_s > PACE_S:
            said_s = time.monotonic()
            yield f"{what}: {share:.0%}"


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out chunks that fail beside the first one, which is told: zarr drops the others."""
    dropped = "exception was never retrieved" in record.getMessage()
    return not (dropped and record.exc_info and isinstance(record.exc_info[1], OSError))
