"""The arrays of a prediction, and how a tile gets onto them."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.arrays.axes import lead_shape, result_axes, spatial_shape
from napari_unet.config import InputError
from napari_unet.library.card import restore
from napari_unet.models.attention import watch_gates
from napari_unet.models.device import is_out_of_memory
from napari_unet.models.geometry import gate_strides
from napari_unet.models.tiles import gate_tile, probabilities, run_tile
from napari_unet.tiling import Tile, cut, split_tile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import DTypeLike, NDArray

    from napari_unet.arrays.axes import Picture, View
    from napari_unet.arrays.intensity import Intensity
    from napari_unet.config import PredictConfig
    from napari_unet.inference.model import Model
    from napari_unet.inference.outputs import Outputs


class Canvas:
    """One array per output, filled tile by tile."""

    def __init__(
        self, model: Model, config: PredictConfig, outputs: Outputs, picture: Picture
    ) -> None:
        self.model, self.config, self.outputs, self.picture = model, config, outputs, picture
        self.label_values = np.asarray([c.value for c in model.card.classes])
        self.strides: Mapping[str, tuple[int, ...]] = {}  # pixels per cell of each gate
        if "attention" in config.outputs:
            self.strides = gate_strides(model.card.model)
        self.arrays: dict[str, Any] = {}

    def create(self) -> None:
        """Make the arrays."""
        config = self.model.card.model
        shape = spatial_shape(self.picture, config.ndim)
        lead = lead_shape(self.picture, config.ndim)
        with self.outputs.storing():
            if "classes" in self.config.outputs:
                dtype = np.min_scalar_type(int(self.label_values.max()))
                self._create("classes", (*lead, *shape), dtype)
            if "probabilities" in self.config.outputs:
                full = (max(config.classes, 2), *lead, *shape)
                self._create("probabilities", full, np.float32, first="K")
            if "values" in self.config.outputs:
                many = (config.classes,) if config.classes > 1 else ()
                full = (*many, *lead, *shape)
                self._create("values", full, np.float32, first="C" if many else "")
            for gate, stride in self.strides.items():
                cells = tuple(-(-n // size) for n, size in zip(shape, stride, strict=True))
                self._create(f"attention/{gate}", (*lead, *cells), np.float32, stride=stride)

    def fill(self, plane: View, intensity: Intensity, tile: Tile) -> bool:
        """Compute one tile and write it; return False when memory ran out.

        Raises
        ------
        InputError
            U161 when it ran out with the smallest tile there is.
        """
        try:
            with watch_gates(self.model.network) as gates:
                logits = run_tile(self.model.network, plane, intensity, tile, self.model.device)
                alphas = {name: alpha[0].cpu().numpy() for name, alpha in gates.items()}
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if split_tile(tile, self.model.geometry) == [tile]:
                raise InputError(
                    "U161",
                    f"out of memory with tiles of {edges(tile)} pixels, the smallest there are",
                    "close other programs, or choose device cpu",
                ) from error
        else:
            with self.outputs.storing():
                self._write(logits, alphas, plane.lead, tile)
            return True
        _free(self.model.device)  # outside the except block: nothing of the failed pass is held
        return False

    def _create(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        first: str = "",
        stride: tuple[int, ...] | None = None,
    ) -> None:
        """Make one array that knows its axes and its spacing."""
        ndim = self.model.card.model.ndim
        attrs: dict[str, Any] = {"axes": first + result_axes(self.picture, ndim)}
        spacing = self.picture.spacing
        if spacing is not None:
            n = len(spacing) - ndim  # of a stack whose planes are looked at one by one
            cells = zip(spacing[n:], stride or (1,) * ndim, strict=True)
            attrs["spacing"] = [*spacing[:n], *(size * pixels for size, pixels in cells)]
        if stride is not None:
            attrs["stride"] = list(stride)
        self.arrays[name] = self.outputs.create(name, shape, dtype, ndim, attrs)

    def _write(
        self,
        logits: NDArray[np.float32],
        alphas: Mapping[str, NDArray[np.float32]],
        lead: tuple[int, ...],
        tile: Tile,
    ) -> None:
        if "classes" in self.arrays:
            found = logits.argmax(axis=0) if len(logits) > 1 else (logits[0] > 0).astype(np.intp)
            self.arrays["classes"][(*lead, *tile.write)] = self.label_values[found]
        if "probabilities" in self.arrays:
            self.arrays["probabilities"][(slice(None), *lead, *tile.write)] = probabilities(logits)
        if "values" in self.arrays:
            values = restore(logits, self.model.card.target)
            several = (slice(None),) if len(values) > 1 else ()
            at = (*several, *lead, *tile.write)
            self.arrays["values"][at] = values if several else values[0]
        for gate, stride in self.strides.items():
            cells = gate_tile(tile, stride)
            self.arrays[f"attention/{gate}"][(*lead, *cells.write)] = cut(alphas[gate], cells)[0]


def _free(device: torch.device) -> None:
    """Give back what torch keeps at hand of the memory of an accelerator."""
    if device.type != "cpu":
        gc.collect()
        torch.accelerator.empty_cache()


def edges(tile: Tile) -> str:
    """Say how large the block is that a tile writes, such as 512x300."""
    return "x".join(str(w.stop - w.start) for w in tile.write)
