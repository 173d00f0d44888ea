"""Cross-validation: a model for each fold, and how well they do on what each did not see."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.arrays.writing import atomic_write
from napari_unet.config import TrainConfig
from napari_unet.events import Finished, Noted
from napari_unet.training.loop import train

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_unet.events import TrainEvent
    from napari_unet.training.pairs import Pair

SCORES = ("dice", "jaccard", "precision", "recall", "mse", "rmse", "mae")
ROWS = "folds.json"


def train_folds(
    config: TrainConfig,
    pairs: Sequence[Pair],
    folder: str | Path,
    *,
    parent: str | Path | None = None,
    resume: bool = False,
) -> Generator[TrainEvent, None, None]:
    """Train a model for each of `config.folds` parts of the data, which it does not see.

    The models are `fold-1`, `fold-2` and so on in `folder`, and `folds.json` holds a row for each:
    its number, and the scores of its best validation. Close the generator to stop early: what is
    finished is kept, and with `resume` nothing of it is computed again.

    Parameters are those of `train`, and so are the errors; U155 where there is too little for so
    many folds. `Finished.summary` holds the `rows`.
    """
    folder, rows = Path(folder), []
    for fold in range(1, (config.folds or 1) + 1):
        yield Noted(f"fold {fold} of {config.folds}")
        own = TrainConfig.model_validate({**config.model_dump(), "fold": fold})
        stream = train(own, pairs, folder / f"fold-{fold}", parent=parent, resume=resume)
        with closing(stream):
            for event in stream:
                if isinstance(event, Finished):
                    rows.append(_row(fold, event.summary["best"]))
                else:
                    yield event
        text = json.dumps({"rows": rows}, indent=2) + "\n"
        atomic_write(folder / ROWS, text.encode())
    yield Finished(str(folder), {"rows": rows})


def _row(fold: int, best: dict[str, float]) -> dict[str, Any]:
    scores = {name: best[name] for name in SCORES if name in best}
    return {"fold": fold, **scores, "loss": best.get("validation_loss")}
