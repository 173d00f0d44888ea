"""Where a model comes from, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_unet.library.card import Card


def lineage(card: Card) -> str:
    """Say what a model was fine-tuned from, where it was resumed, and how often it was corrected.

    Returns
    -------
    str
        Such as ``Fine-tuned from cells (0123456789abcdef). Resumed at step 96. Corrected twice, 20
        pixels, labels of 1 image at step 96.``; empty for a model that was trained in one go. Of
        labels that changed before a run was resumed, only the images are counted.
    """
    resumed: Sequence[int] = card.training.get("resumed", ())
    corrections: Sequence[dict[str, Any]] = card.training.get("corrections", ())
    parts = [f"Fine-tuned from {card.parent}."] if card.parent else []
    if resumed:
        parts.append(f"Resumed at step {', '.join(map(str, resumed))}.")
    if corrections:
        parts.append(f"Corrected {', '.join([_times(len(corrections)), *_what(corrections)])}.")
    return " ".join(parts)


def _what(corrections: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield how many pixels were corrected, and of how many images the labels changed, when."""
    pixels = [each["pixels"] for each in corrections if "pixels" in each]
    if pixels:
        yield f"{sum(pixels):,} pixels"
    for each in corrections:
        if "images" in each:
            n = each["images"]
            yield f"labels of {n:,} image{'s' * (n != 1)} at step {each['step']}"


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")
