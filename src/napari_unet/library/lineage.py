"""Where a model comes from, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.library.card import Card


def lineage(card: Card) -> str:
    """Say what a model was fine-tuned from, where it was resumed, and how often it was corrected.

    Returns
    -------
    str
        Such as ``Fine-tuned from cells (0123456789abcdef). Resumed at step 96. Corrected once, 20
        pixels.``; empty for a model that was trained in one go.
    """
    resumed: Sequence[int] = card.training.get("resumed", ())
    corrections: Sequence[dict[str, Any]] = card.training.get("corrections", ())
    parts = [f"Fine-tuned from {card.parent}."] if card.parent else []
    if resumed:
        parts.append(f"Resumed at step {', '.join(map(str, resumed))}.")
    if corrections:
        pixels = sum(each["pixels"] for each in corrections)
        parts.append(f"Corrected {_times(len(corrections))}, {pixels:,} pixels.")
    return " ".join(parts)


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")
