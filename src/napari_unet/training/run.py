"""The state of a training run: what a checkpoint holds and a step changes."""

from __future__ import annotations

import math
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.config import InputError
from napari_unet.events import Stepped, Validated
from napari_unet.library.checkpoints import save_checkpoint
from napari_unet.models.device import place
from napari_unet.models.geometry import measure
from napari_unet.models.memory import BATCH, PATCH
from napari_unet.models.registry import build
from napari_unet.training.ahead import Ahead
from napari_unet.training.losses import make_loss
from napari_unet.training.optimisers import lay_out, make_optimiser, rate_at
from napari_unet.training.patches import Batch, near
from napari_unet.training.plan import patch_sizes
from napari_unet.training.sampling import Sampler
from napari_unet.training.step import Descent
from napari_unet.training.validation import Score, count_read, settle, validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.config import TrainConfig
    from napari_unet.training.asking import View
    from napari_unet.training.data import TrainingData
    from napari_unet.training.ranks import Ranks

FEWEST_STEPS = 8  # per epoch
VALIDATION_SHARE = 0.25  # the most that a validation may cost of the steps it watches over
PASSES = 3  # what a step costs for each pixel: forward once, and backward, which is twice as much
SAVE_EVERY_S = 20.0  # the most that a crash can cost
_SETTLING = 2**31  # keeps the patches of `settle` apart from those of the steps


class Run:
    """A network on its way: parameters, optimiser, position, best so far.

    Parameters
    ----------
    config : TrainConfig
        Settings, already fitted to the data (see `plan.fit`).
    data : TrainingData
        What to learn from.
    folder : Path
        The model folder to be; checkpoints go below it.
    device : torch.device
        Where to compute.
    ranks : Ranks
        Who this process is among those that train together.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingData,
        folder: Path,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        self.config, self.data, self.folder, self.device = config, data, folder, device
        self.ranks = ranks
        self.geometry = measure(config.model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = build(config.model)
        self.network = ranks.unite(place(self.network, device, config.model.ndim), device)
        self.optimiser = make_optimiser(self.network, config.optimiser)
        self.loss = make_loss(config)
        self.batch = config.batch or BATCH[config.model.ndim]
        self.sampler = Sampler(data.train, self._patch_sizes(), config.oversample, near(device))
        # on a CPU a thread has nothing to gain: the network leaves no core idle
        self.ahead = Ahead(self.draw, overlapped=device.type == "cuda")
        self.descent = Descent(
            self.network,
            ranks.divide(self.network, self.batch),
            self.loss,
            self.optimiser,
            config,
            self._most_pieces(),
        )
        self.steps_per_epoch = config.steps_per_epoch or self._one_pass()
        self.step, self.epoch = 0, 0
        self.elapsed_s = 0.0  # time spent working: a pause does not count
        self.losses: list[float] = []  # of the current epoch
        self.history: list[dict[str, float]] = []
        self.best: dict[str, NDArray[Any]] = {}
        self.best_score = -math.inf
        self.saved_at_s = 0.0
        self.view: View | None = None  # what is shown after each validation
        self.corrections: list[dict[str, int]] = []  # step, and pixels or images, of each
        self.relabelled = 0  # images whose labels changed before it was resumed
        self.resumed: list[int] = []  # the steps at which it was taken up again
        self.parent: str | None = None  # what it was fine-tuned from, by name and checksum
        self._settled_at = -1  # the step at which batch statistics were taken last

    @property
    def total_steps(self) -> int | None:
        """Number of steps of the whole run; None when time is the budget."""
        epochs = self.config.epochs
        return None if epochs is None else epochs * self.steps_per_epoch

    @property
    def progress(self) -> float:
        """Share of the budget that is used, 0 to 1."""
        if self.config.minutes is not None:
            return min(self.elapsed_s / (60 * self.config.minutes), 1.0)
        return min(self.step / (self.total_steps or 1), 1.0)

    @property
    def done(self) -> bool:
        """Whether the budget is used up."""
        if self.total_steps is not None:
            return self.step >= self.total_steps
        return self.progress >= 1

    @property
    def left_s(self) -> float | None:
        """Estimated seconds to go; None before the first step."""
        if self.config.minutes is not None:
            return max(60 * self.config.minutes - self.elapsed_s, 0.0)
        return self.elapsed_s / self.progress * (1 - self.progress) if self.progress else None

    def take_step(self) -> Stepped:
        """Take one gradient step; the patches depend on the seed and the step alone."""
        with self._clock():
            rate = rate_at(self.config.optimiser, self.progress, self.epoch)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            batch, seed = self.ahead.take(self.step)
            value = self.descent.take(batch, seed + self.ranks.rank)
            if not math.isfinite(value):
                raise InputError(
                    "U153",
                    f"the loss is {value} at step {self.step + 1} (rate {rate:.2g})",
                    "lower the learning rate; the last checkpoint is kept",
                )
            self.step += 1
            self.losses.append(value)
        return Stepped(self.step, self.epoch, value, rate, self.progress, self.left_s)

    def draw(self, step: int) -> tuple[Batch, int]:
        """Draw the patches of a step, and the seed of its dropout."""
        rng = np.random.default_rng([self.config.seed, step])
        batch = self.sampler.batch(self.batch, self.config.augment, rng)
        return Batch(*(x.to(self.device) for x in batch)), int(rng.integers(2**62))

    def take_notes(self) -> list[str]:
        """Return what the user should know, once."""
        notes, self.descent.notes = self.descent.notes, []
        return notes

    def close(self) -> None:
        """End what goes on beside the steps; also after what is learned from has changed."""
        self.ahead.close()

    def validate(self) -> Validated:
        """Score the network, keep it if it is the best, and begin the next epoch."""
        with self._clock():
            self.settle()
            score = validate(self.network, self.data, self.geometry, self.loss)
            best = score.selector > self.best_score
            if best:
                self.best_score, self.best = score.selector, self.parameters()
        event = Validated(
            self.step, self.epoch, score.loss, score.means, score.classes, best=bool(best)
        )
        self.history.append(self._row(score, best=best))
        self.losses = []
        self.epoch += 1
        return event

    def settle(self) -> None:
        """Make the network ready to be applied, with the batch statistics of this step."""
        if self._settled_at != self.step:
            seed = (self.config.seed, _SETTLING, self.epoch)
            settle(self.network, self.sampler, self.batch, seed, self.device)
            self._settled_at = self.step
        self.network.eval()

    def take_labels(self, data: TrainingData, pixels: int) -> None:
        """Go on with other labels of the same images, of which so many pixels differ."""
        self.close()  # patches of the old ones may be on their way
        self.data = data
        sizes, share = self.sampler.sizes, self.config.oversample
        self.sampler = Sampler(data.train, sizes, share, near(self.device))
        if pixels:
            self.corrections.append({"step": self.step, "pixels": pixels})
            self._forget_best()
        self._settled_at = -1

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Copy the parameters and running statistics of the network, by name."""
        return {
            name: value.detach().cpu().numpy().copy(order="C")
            for name, value in self.network.state_dict().items()
        }

    def save(self) -> Path:
        """Write a checkpoint from which the run goes on as if it had not stopped."""
        self.saved_at_s = self.elapsed_s
        if not self.ranks.first:
            return self.folder
        arrays = {f"parameters.{k}": v for k, v in self.parameters().items()}
        arrays |= {f"best.{k}": v for k, v in self.best.items()}
        for number, slots in self.optimiser.state_dict()["state"].items():
            for key, value in slots.items():
                arrays[f"optimiser.{number}.{key}"] = _as_array(value)
        state = {
            "step": self.step,
            "epoch": self.epoch,
            "elapsed_s": self.elapsed_s,
            "rate": self.optimiser.param_groups[0]["lr"],
            "losses": self.losses,
            "history": self.history,
            "resumed": self.resumed,
            "corrections": self.corrections,
            "fingerprints": list(self.data.fingerprints),
            "best_score": self.best_score if self.best else None,
            "threads": torch.get_num_threads(),
            "descent": self.descent.state(),
            "config": self.config.model_dump(mode="json"),
            "split": self.data.split.model_dump(mode="json"),
        }
        return save_checkpoint(self.folder, self.step, arrays, state)

    def restore(self, arrays: dict[str, NDArray[Any]], state: dict[str, Any]) -> None:
        """Take up the run where `save` left it; labels that changed since are a correction."""
        groups: dict[str, dict[str, Any]] = {"parameters": {}, "best": {}, "optimiser": {}}
        for name, array in arrays.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = array
        self.network.load_state_dict(
            {k: torch.from_numpy(v) for k, v in groups["parameters"].items()}
        )
        slots: dict[int, dict[str, Any]] = {}
        for name, array in groups["optimiser"].items():
            number, key = name.split(".", 1)
            slots.setdefault(int(number), {})[key] = torch.from_numpy(array)
        outline = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**outline, "state": slots})
        lay_out(self.optimiser)
        for settings in self.optimiser.param_groups:
            settings["lr"] = state["rate"]  # until the next step; a validation may come first
        self.best = groups["best"]
        self.best_score = -math.inf if state["best_score"] is None else state["best_score"]
        self.step, self.epoch = state["step"], state["epoch"]
        self.elapsed_s = self.saved_at_s = state["elapsed_s"]
        self.losses, self.history = state["losses"], state["history"]
        self.corrections = list(state.get("corrections", []))
        now = Counter(self.data.fingerprints)
        # checkpoints of earlier versions have no fingerprints; how many pixels, none can tell
        self.relabelled = (now - Counter(state.get("fingerprints", now.elements()))).total()
        if self.relabelled:
            self.corrections.append({"step": self.step, "images": self.relabelled})
            self._forget_best()
        self.resumed = [*state.get("resumed", []), self.step]
        if "descent" in state:  # checkpoints of earlier versions have none
            self.descent.restore(state["descent"])
        torch.set_num_threads(state["threads"])  # sums in another order give other bits

    @property
    def save_is_due(self) -> bool:
        """Whether a crash now would cost more than it may."""
        return self.elapsed_s - self.saved_at_s > SAVE_EVERY_S

    def _forget_best(self) -> None:
        """Let the next validation find the best network: those before were of other labels."""
        self.best, self.best_score = {}, -math.inf

    def _row(self, score: Score, *, best: bool) -> dict[str, float]:
        rate = self.optimiser.param_groups[0]["lr"]
        loss = float(np.mean(self.losses)) if self.losses else math.nan
        return {
            "step": self.step,
            "epoch": self.epoch,
            "elapsed_s": round(self.elapsed_s, 3),
            "rate": rate,
            "training_loss": loss,
            "validation_loss": score.loss,
            **score.means,
            "best": int(best),
        }

    def _patch_sizes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Size of the image patch and of its labelled centre: legal, not larger than the data."""
        edge = self.config.patch or PATCH[self.config.model.ndim]
        image = patch_sizes(self.geometry, edge, self.data.train)
        if self.config.model.norm == "batch" and self.batch * self._coarsest(image) == 1:
            image = tuple(self.geometry.legal(axis, n + 1) for axis, n in enumerate(image))
        lost = self.geometry.lost
        return image, tuple(n - 2 * b for n, b in zip(image, lost, strict=True))

    def _most_pieces(self) -> int:
        """Count into how many pieces a batch can be split, and may be where memory runs out."""
        alone = self.config.model.norm == "batch" and self._coarsest(self.sampler.sizes[0]) == 1
        most = self.batch // max(2 if alone else 1, self.ranks.world)
        # all processes must split alike, and memory runs out in one of them
        return most if self.ranks.world == 1 else min(most, self.config.accumulate)

    def _coarsest(self, image: tuple[int, ...]) -> int:
        """Count the pixels of a patch where it is coarsest; a single one has no statistics."""
        cells = zip(image, self.geometry.smallest, self.geometry.step, strict=True)
        return math.prod((n - smallest) // step + 1 for n, smallest, step in cells)

    def _one_pass(self) -> int:
        """Count the steps that see every pixel once, or more where a validation costs too much."""
        labelled = sum(int((s.weights > 0).sum()) for s in self.data.train)
        image, centre = (self.batch * math.prod(size) for size in self.sampler.sizes)
        read = count_read(self.data.validation or self.data.train, self.geometry)
        worth = read / (VALIDATION_SHARE * PASSES * image)
        return max(FEWEST_STEPS, math.ceil(labelled / centre), math.ceil(worth))

    @contextmanager
    def _clock(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.elapsed_s += time.perf_counter() - started
        self.elapsed_s = self.ranks.agree(self.elapsed_s)  # so that all end at the same step


def _as_array(value: Any) -> NDArray[Any]:
    tensor = value if isinstance(value, torch.Tensor) else torch.tensor(value)
    return np.asarray(tensor.detach().cpu().numpy().copy(order="C"))
