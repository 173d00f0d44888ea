"""One tile through a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.arrays.mirror import read_mirrored
from napari_unet.tiling import Tile, cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_unet.arrays.axes import View
    from napari_unet.arrays.intensity import Intensity
    from napari_unet.arrays.resampled import Resampled


def run_tile(
    network: nn.Module,
    image: View | Resampled | NDArray[Any],
    intensity: Intensity,
    tile: Tile,
    device: torch.device,
) -> NDArray[Any]:
    """Return the logits of the pixels that `tile` writes.

    Parameters
    ----------
    network : nn.Module
        On `device` and in evaluation mode: batch statistics would differ from tile to tile.
    image : View or array, (C, *S)
        Read at `tile.read` only, mirrored outside.
    intensity : Intensity
        How grey values are normalised, measured on the whole image.
    tile : Tile
        From `plan_tiles` with the geometry of this network.
    device : torch.device
        Where `network` is.

    Returns
    -------
    float32 array, (K, *written)
        float64 if the network is.

    Raises
    ------
    ValueError
        If the network is in training mode.
    """
    if network.training:
        raise ValueError("the network is in training mode: call network.eval() before prediction")
    block = intensity.apply(read_mirrored(image, tile.read))  # (C, *read)
    dtype = next(network.parameters()).dtype
    with torch.inference_mode():
        logits = network(torch.tensor(block, dtype=dtype, device=device)[None])[0]
        whole = logits.cpu().numpy()  # (K, *read - 2 lost)
    return np.ascontiguousarray(cut(whole, tile))


def gate_tile(tile: Tile, strides: Sequence[int]) -> Tile:
    """Return `tile` in cells of `strides` pixels, to `cut` an alpha map (1, *grid) of a gate.

    A cell that the image ends in is written whole.
    """
    return Tile(
        read=tuple(
            slice(r.start // n, r.stop // n) for r, n in zip(tile.read, strides, strict=True)
        ),
        write=tuple(
            slice(w.start // n, -(-w.stop // n)) for w, n in zip(tile.write, strides, strict=True)
        ),
    )


def surprise(logits: NDArray[Any], index: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return -log p of the class `index` (*S) of logits (K, *S); one logit is that of class 1."""
    z = logits.astype(np.float64)
    if len(z) == 1:
        z = np.concatenate([np.zeros_like(z), z])
    log_sum = np.logaddexp.reduce(z, axis=0)
    return np.asarray(log_sum - np.take_along_axis(z, index[None], axis=0)[0], np.float32)


def probabilities(logits: NDArray[Any]) -> NDArray[Any]:
    """Turn logits (K, ...) into probabilities (max(K, 2), ...) that sum to 1 along the first axis.

    One logit z becomes [1 - p, p] with p = sigmoid(z): the softmax of [0, z].
    """
    if len(logits) == 1:
        logits = np.concatenate([np.zeros_like(logits), logits])
    exponentials: NDArray[Any] = np.exp(logits - logits.max(axis=0))
    exponentials /= exponentials.sum(axis=0)
    return exponentials
