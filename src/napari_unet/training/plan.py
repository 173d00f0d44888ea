"""What follows from the images: how often axes are halved, depth, patch and batch.

After the planner of nnU-Net (Isensee et al. 2021, Nature Methods 18:203), with fewer rules. All of
it stands in the settings of the run; the same images give the same plan, but for patch and batch,
which also depend on the memory there is and are kept when a run is resumed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch

from napari_unet.config import ARCHITECTURES, InputError, ModelConfig, TrainConfig, overlay
from napari_unet.models.geometry import measure
from napari_unet.models.memory import BATCH, bytes_to_learn
from napari_unet.models.registry import build

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_unet.tiling import Geometry
    from napari_unet.training.augment import Source
    from napari_unet.training.data import TrainingData

DEEPEST: Mapping[int, int] = {1: 5, 2: 5, 3: 4}  # levels of a full plan, by dimension
COARSE = 2.0  # times the finest pixel: an axis coarser than this waits for the others
HALVED = 8  # pixels that an axis must have to be halved: at least 4 are left
FEWEST, MOST = 2, 12  # patches per step of a full plan
# On a processor, time runs out before memory does: less of it, and no larger batches than usual.
CARD_BYTES, CPU_BYTES = 2**33, 2**30


def fit(
    config: TrainConfig, data: TrainingData, device: torch.device, *, keep_network: bool = False
) -> tuple[TrainConfig, list[str]]:
    """Give the network the channels and classes of the data, and plan what `config` leaves open.

    Parameters
    ----------
    config : TrainConfig
        `plan` says what may be planned; whatever was set is kept.
    data : TrainingData
        The shapes of its images are looked at.
    device : torch.device
        Where the run will be.
    keep_network : bool
        The network is that of another model: its shape is not planned.

    Returns
    -------
    config : TrainConfig
    notes : list of str
        What was planned, in words for the user.

    Raises
    ------
    InputError
        U151 when one logit should tell more than two classes apart.
    """
    config = _change(
        config,
        {
            "normalisation": data.normalisation,
            "labels": {"kind": "regression" if data.target else data.grammar.kind},
            "model": {"in_channels": data.channels, "classes": count_outputs(config, data)},
        },
    )
    changes = {} if keep_network else plan_network(config, data.shapes, data.pixels.spacing)
    config = _change(config, {"model": changes})
    words = [_tell(changes)]
    if config.plan == "full":
        most = MOST if device.type == "cuda" else BATCH[config.model.ndim]
        config, patches = _plan_patches(config, data, free_bytes(device), most)
        words.append(patches)
    return config, [f"planned from the images: {each}" for each in words if each]


def planned_model(
    config: TrainConfig, shapes: Sequence[tuple[int, ...]], spacing: Sequence[float] | None
) -> ModelConfig:
    """Return the network of `config` as it will be for these images; see `plan_network`."""
    return _change(config, {"model": plan_network(config, shapes, spacing)}).model


def plan_network(
    config: TrainConfig, shapes: Sequence[tuple[int, ...]], spacing: Sequence[float] | None
) -> dict[str, Any]:
    """Return settings of the network that follow from size and spacing of the labelled images.

    full: depth, until the median image has 4 to 7 pixels left along its shorter side (in 3-D:
    along every axis), at most `DEEPEST`. A depth that is not that of the paper, or that belongs to
    the variant, was chosen and is kept.

    axes and full, in 3-D: an axis whose pixels are more than `COARSE` times those of the finest
    axis stays flat until the others have been halved to match; an axis is halved while the
    smallest image has at least `HALVED` pixels left along it, at most depth times in all.
    """
    model = config.model
    planned: dict[str, Any] = {}
    if config.plan == "fixed" or model.halvings is not None or model.flat is not None:
        return planned
    sizes = _spacing(spacing, model.ndim)
    depth = model.depth
    if config.plan == "full" and depth_is_open(model):
        median = [int(n) for n in np.median(shapes, axis=0)]
        depth = _plan_depth(median, sizes)
        planned["depth"] = depth
    if model.ndim == 3:
        smallest = [int(n) for n in np.min(shapes, axis=0)]
        flat, halvings = plan_axes(smallest, sizes, depth)
        if halvings != (depth,) * model.ndim:
            planned |= {"flat": flat, "halvings": halvings}
    return planned


def plan_axes(
    shape: Sequence[int], spacing: Sequence[float], depth: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return on how many levels each axis is flat, and how often it is halved after that.

    Parameters
    ----------
    shape : sequence of int
        Pixels along each axis.
    spacing : sequence of float
        Size of a pixel along each axis, all in the same unit.
    depth : int
        The most levels there may be.
    """
    flat, halvings = [], []
    for n, size in zip(shape, spacing, strict=True):
        ratio, waits = size / min(spacing), 0
        while ratio > COARSE and waits < depth:
            ratio, waits = ratio / 2, waits + 1
        flat.append(waits)
        halvings.append(min(_count_halvings(n), depth - waits))
    return tuple(flat), tuple(halvings)


def patch_sizes(geometry: Geometry, edge: int, sources: Sequence[Source]) -> tuple[int, ...]:
    """Return legal sizes of image patches whose labelled centre has `edge` pixels per axis.

    Along an axis where no image has so many, as many as the longest has.
    """
    largest = np.max([source.weights.shape for source in sources], axis=0)
    return tuple(
        geometry.input_size(axis, int(min(edge, largest[axis]))) for axis in range(len(largest))
    )


def count_outputs(config: TrainConfig, data: TrainingData) -> int:
    """Return how many logits a network needs for the classes or channels of the data.

    Raises InputError U151 when one logit should tell more than two classes apart.
    """
    n = len(data.names)
    if data.target:
        return n
    if config.model.classes == 1 and n > 2:
        remedy = f"set model.classes={n} and a loss other than bce, or tune another model"
        raise InputError("U151", f"one logit cannot tell {n} classes apart", remedy)
    return 1 if config.model.classes == 1 else max(n, 2)


def depth_is_open(model: ModelConfig) -> bool:
    """Tell whether the depth is merely that of the paper, and may be another one."""
    if "depth" in ARCHITECTURES[model.architecture].variants[model.variant]:
        return False
    paper = ModelConfig(architecture=model.architecture, variant=model.variant)
    return model.depth == paper.depth


def bytes_per_pixel(model: ModelConfig, geometry: Geometry) -> float:
    """Estimate what one pixel of a patch takes in training, in bytes (see `bytes_to_learn`)."""
    size = [geometry.legal(axis, 8 * step) for axis, step in enumerate(geometry.step)]
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = build(model)
    return bytes_to_learn(network, model, [FEWEST, *size]) / (FEWEST * math.prod(size))


def free_bytes(device: torch.device) -> int:
    """Return how much memory a run may take on `device`: half of what is free, up to a limit."""
    if device.type == "cuda":
        return min(torch.cuda.mem_get_info(device)[0] // 2, CARD_BYTES)
    return min(int(psutil.virtual_memory().available) // 2, CPU_BYTES)


def _plan_patches(
    config: TrainConfig, data: TrainingData, memory: int, most: int
) -> tuple[TrainConfig, str]:
    """Choose the largest patch up to the median image that fits `memory`, then up to `most`."""
    if config.patch is not None and config.batch is not None:
        return config, ""
    geometry = measure(config.model)
    each = bytes_per_pixel(config.model, geometry)
    step = max(geometry.step)

    def cost(edge: int) -> float:
        return each * math.prod(patch_sizes(geometry, edge, data.train))

    edge, batch = config.patch, config.batch
    if edge is None:
        median = np.median(data.shapes, axis=0)
        edge = math.ceil(median.max() / step) * step
        while edge > step and (batch or FEWEST) * cost(edge) > memory:
            edge -= step
    if batch is None:
        batch = min(max(int(memory // cost(edge)), FEWEST), most)
    sizes = "x".join(map(str, patch_sizes(geometry, edge, data.train)))
    words = f"{batch} patches of {sizes} pixels per step"
    return config.model_copy(update={"patch": edge, "batch": batch}), words


def _plan_depth(shape: Sequence[int], spacing: Sequence[float]) -> int:
    """Return how many levels an image of `shape` is worth."""
    deepest = DEEPEST[len(shape)]
    if len(shape) < 3:  # all axes are halved alike
        return min(max(_count_halvings(min(shape)), 1), deepest)
    axes = plan_axes(shape, spacing, deepest)
    return max([1, *(flat + n for flat, n in zip(*axes, strict=True) if n)])


def _count_halvings(n: int) -> int:
    """Count how often `n` pixels can be halved, `HALVED` of them or more each time."""
    count = 0
    while n >= HALVED:
        n, count = n // 2, count + 1
    return count


def _spacing(spacing: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    """Return the size of a pixel along the axes of the network; 1 where it is not known."""
    known = spacing is not None and len(spacing) >= ndim
    return tuple(spacing[-ndim:]) if known and spacing else (1.0,) * ndim


def _tell(planned: Mapping[str, Any]) -> str:
    words = [f"{planned['depth']} levels below the first"] if "depth" in planned else []
    if "halvings" in planned:
        counts = ", ".join(map(str, planned["halvings"]))
        words.append(f"Z, Y, X are halved {counts} times")
        if any(planned["flat"]):
            waits = ", ".join(map(str, planned["flat"]))
            words.append(f"after {waits} levels without")
    return "; ".join(words)


def _change(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    return TrainConfig.model_validate(overlay(config.model_dump(), changes))
