"""What is held out to validate: whole images where there are several, else blocks of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.config import InputError
from napari_unet.library.split import HeldBox, SplitCard
from napari_unet.training.blocks import Labelled, find_blocks, find_fold
from napari_unet.training.splitting import Split, part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.config import TrainConfig
    from napari_unet.tiling import Geometry
    from napari_unet.training.augment import Source
    from napari_unet.training.blocks import Blocks

NOTHING = "nothing is held out: scores are those of the training images"
TOO_LITTLE = "too few pixels are labelled to hold any out: scores are those of the training images"


def hold_out(sources: Sequence[Source], config: TrainConfig, geometry: Geometry) -> Split:
    """Decide what validates, by the shape and the labels of the images and the seed.

    Whole pairs where there are several; of a single stack, planes that lie side by side; else a
    block of each image, with a gap around it as wide as the margin of the network. No class is
    taken from what is learned.

    Parameters
    ----------
    sources : sequence of Source
        Each with labelled pixels.
    config : TrainConfig
        `validation`, the share to hold out, or `fold` and `folds`; `seed`.
    geometry : Geometry
        Of the network.

    Raises
    ------
    InputError
        U155 where there is too little for so many folds.
    """
    return part(sources, choose(sources, config, geometry), geometry)


def choose(sources: Sequence[Source], config: TrainConfig, geometry: Geometry) -> SplitCard:
    """Choose the boxes to hold out; parameters and errors are those of `hold_out`."""
    if not config.validation and config.fold is None:
        return SplitCard(words=NOTHING)
    rng = np.random.default_rng(config.seed)
    held = _choose_images(sources, config, rng)
    if held:
        words = f"{len(held)} of {len(sources)} images are held out"
        return SplitCard(words=words, boxes=tuple(_whole(source) for source in held))
    found = [(s, _find_blocks(s, config, geometry, rng)) for s in sources]
    parted = [(s, blocks) for s, blocks in found if blocks is not None]
    if config.fold is not None and not parted:
        raise InputError(
            "U155",
            f"the labels of {len(sources)} image(s) cannot be cut into {config.folds} folds",
            "ask for fewer folds, or label more",
        )
    return _card(parted, geometry)


def _find_blocks(
    source: Source, config: TrainConfig, geometry: Geometry, rng: np.random.Generator
) -> Blocks | None:
    if config.fold is not None and config.folds is not None:
        return find_fold(source, config.fold, config.folds, geometry.margin)
    return find_blocks(source, config.validation, geometry.margin, rng)


@dataclass(frozen=True, slots=True)
class _Group:
    """Images that are held out together, and their labelled pixels by class."""

    sources: tuple[Source, ...]
    counts: NDArray[np.int64]


def _choose_images(
    sources: Sequence[Source], config: TrainConfig, rng: np.random.Generator
) -> list[Source]:
    """Choose as many images as are asked for, if enough of every class is left without them."""
    groups = _shuffle(_group(sources), rng)
    if config.fold is not None and config.folds is not None:
        if len(groups) < config.folds:
            return []
        parts = np.array_split(np.arange(len(groups)), config.folds)
        asked, wanted, share = [groups[k] for k in parts[config.fold - 1]], len(groups), 1.0
    else:
        share = config.validation
        asked, wanted = groups, max(1, round(share * len(groups)))
    left = np.sum([group.counts for group in groups], axis=0)
    enough = min(0.5, 2 / 3 * (1 - share)) * left.sum()
    held: list[Source] = []
    for group in asked:
        rest = left - group.counts
        if wanted and rest.sum() >= enough and np.array_equal(rest > 0, left > 0):
            left, wanted = rest, wanted - 1
            held += group.sources
    return held


def _group(sources: Sequence[Source]) -> list[_Group]:
    """Take pairs together; of a single pair every plane is for itself."""
    several = len({source.pair for source in sources}) > 1
    members: dict[object, list[Source]] = {}
    for source in sources:
        members.setdefault(source.pair if several else source.lead, []).append(source)
    found = [[Labelled(source).counts for source in each] for each in members.values()]
    n = max(len(counts) for each in found for counts in each)
    totals = [np.sum([np.pad(c, (0, n - len(c))) for c in each], axis=0) for each in found]
    return [_Group(tuple(s), c) for s, c in zip(members.values(), totals, strict=True)]


def _shuffle(groups: Sequence[_Group], rng: np.random.Generator) -> list[_Group]:
    """Put pairs in any order; planes of a stack begin anywhere, and neighbours stay neighbours."""
    n = len(groups)
    if len({group.sources[0].pair for group in groups}) > 1:
        return [groups[k] for k in rng.permutation(n)]
    first = int(rng.integers(n))
    return [groups[(first + k) % n] for k in range(n)]


def _whole(source: Source) -> HeldBox:
    shape = source.weights.shape
    none = (0,) * len(shape)
    return HeldBox(
        pair=source.pair, lead=source.lead, start=none, stop=shape, gap=none, scale=source.scale
    )


def _card(found: Sequence[tuple[Source, Blocks]], geometry: Geometry) -> SplitCard:
    """Write down the blocks of images, and say how much they hold."""
    if not found:
        return SplitCard(words=TOO_LITTLE)
    boxes = [
        HeldBox(
            pair=source.pair,
            lead=source.lead,
            start=tuple(w.start for w in window),
            stop=tuple(w.stop for w in window),
            gap=blocks.gap,
            scale=source.scale,
        )
        for source, blocks in found
        for window in blocks.windows
    ]
    held, learned = (
        int(sum(getattr(blocks, name).sum() for _, blocks in found)) for name in ("held", "learned")
    )
    narrowest = min((blocks.gap for _, blocks in found), key=max)
    words = (
        f"{held:,} labelled pixels in {len(boxes)} block(s) are held out, {learned:,} are learned"
    )
    return SplitCard(words=f"{words}; {_tell_gap(narrowest, geometry.margin)}", boxes=tuple(boxes))


def _tell_gap(gap: tuple[int, ...], margin: tuple[int, ...]) -> str:
    reach, full = max(gap), max(margin)
    if gap == margin:
        return f"between them is a gap of {full} pixels, the margin of the network"
    return (
        f"the gap between them is {reach} pixels instead of {full}, the margin of the network: "
        "a wider one would leave too few to learn from, so scores may be too good"
    )
