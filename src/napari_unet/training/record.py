"""Writing down what a run has made: the model folder."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_unet.library.card import Card, GeometryCard, environment
from napari_unet.library.folders import (
    CONFIG,
    HISTORY,
    METHODS,
    PROBE,
    WEIGHTS,
    to_tensors,
    write_model,
)
from napari_unet.library.methods import methods_paragraph
from napari_unet.models.device import exact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_unet.training.run import Run

AXES: Mapping[int, str] = {1: "CX", 2: "CYX", 3: "CZYX"}


def write_record(run: Run) -> Card:
    """Write the best network of `run` as a model folder; return its card.

    Of several processes the first one writes.
    """
    best = run.best or run.parameters()
    run.network.load_state_dict({k: torch.from_numpy(v) for k, v in best.items()})
    card = card_of(run)
    if not run.ranks.first:
        return card
    image, logits = probe(run.network, run.geometry.smallest, run.config.model.in_channels)
    files = {
        WEIGHTS: to_tensors(best),
        CONFIG: (run.config.model_dump_json(indent=2) + "\n").encode(),
        HISTORY: _table(run.history).encode(),
        PROBE: to_tensors({"image": image, "logits": logits}),
        METHODS: methods_paragraph(card, run.config).encode(),
    }
    return write_model(run.folder, card, files)


def probe(
    network: torch.nn.Module, smallest: tuple[int, ...], channels: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make a small input (C, *S) of noise and the logits (K, *S') that it gives."""
    rng = np.random.default_rng(0)  # noise, so that no image leaves its owner with the model
    image = rng.standard_normal((channels, *smallest), dtype=np.float32)
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode(), exact():
        logits = network(torch.from_numpy(image)[None].to(device))[0].cpu().numpy()
    return image, logits


def card_of(run: Run) -> Card:
    """Write down what a run is by now."""
    geometry = run.geometry
    best = [row for row in run.history if row["best"]]
    scores = {k: v for k, v in best[-1].items() if np.isfinite(v)} if best else {}
    return Card(
        name=run.folder.name[:120],
        model=run.config.model,
        geometry=GeometryCard(
            step=geometry.step,
            margin=geometry.margin,
            lost=geometry.lost,
            smallest=geometry.smallest,
        ),
        axes=AXES[run.config.model.ndim],
        spacing=run.data.pixels.spacing,
        unit=run.data.pixels.unit,
        normalisation=run.data.normalisation,
        kind=run.config.labels.kind,
        classes=run.data.classes,
        target=run.data.target,
        parent=run.parent,
        training={
            "steps": run.step,
            "epochs": run.epoch,
            "elapsed_s": round(run.elapsed_s, 3),
            "precision": str(run.descent.dtype).removeprefix("torch."),
            "images": len(run.data.train),
            "held_out": len(run.data.validation),
            "split": run.data.split.model_dump(mode="json"),
            "best": scores,
            "class_weights": [round(float(w), 6) for w in run.data.class_weights],
            "fingerprints": list(run.data.fingerprints),
            "resumed": run.resumed,
            "corrections": run.corrections,
            "notes": list(run.data.notes),
        },
        environment=environment(),
    )


def _table(rows: list[dict[str, float]]) -> str:
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
