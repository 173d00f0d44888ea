"""One step downhill: forward, backward, optimiser; piece by piece where memory is short."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from napari_unet.models.device import is_out_of_memory
from napari_unet.models.precision import learning_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from napari_unet.config import TrainConfig
    from napari_unet.training.losses import Loss
    from napari_unet.training.patches import Batch


class Descent:
    """How a network follows the gradient of a loss.

    Parameters
    ----------
    network : nn.Module
        On its device.
    compute : callable
        Gives the logits of a batch: the network itself, or with a share for other processes.
    loss : callable
        Of logits, truth and weights of a whole batch.
    optimiser : torch.optim.Optimizer
        Of the parameters of the network.
    config : TrainConfig
        Precision, pieces, largest norm of the gradient.
    most_pieces : int
        Into how many pieces a batch can be split.

    Attributes
    ----------
    pieces : int
        In how many pieces batches are computed now.
    notes : list of str
        What the user should know, since it was last emptied.
    """

    def __init__(
        self,
        network: nn.Module,
        compute: Callable[[Tensor], Tensor],
        loss: Loss,
        optimiser: torch.optim.Optimizer,
        config: TrainConfig,
        most_pieces: int,
    ) -> None:
        self.network, self.compute = network, compute
        self.loss, self.optimiser = loss, optimiser
        self.clip, self.batch_norm = config.optimiser.clip, config.model.norm == "batch"
        self.device = next(network.parameters()).device
        values = config.labels.kind == "regression"
        self.dtype = learning_dtype(self.device, config.precision, values=values)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.most_pieces = most_pieces
        self.pieces = min(config.accumulate, most_pieces)
        self.notes: list[str] = []

    def take(self, batch: Batch, seed: int) -> float:
        """Take one step on `batch`, unless the loss is not finite; return the loss.

        `seed` is that of the dropout. A gradient that float16 cannot hold is no fault: the step
        is left out and the loss scaled down for the next.
        """
        self.network.train()
        value = self._differentiate(batch, seed)
        if math.isfinite(value):
            if self.clip:
                self.scaler.unscale_(self.optimiser)
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
            self.scaler.step(self.optimiser)
            self.scaler.update()
        return value

    def differentiate(self, batch: Batch, seed: int) -> Tensor:
        """Set the gradient of every parameter, times the scale; return the loss, not scaled.

        In pieces, the logits of all of them are computed first, without a graph; the loss of the
        whole batch then says how it changes with each logit, and every piece is computed again to
        hand that on. So the gradient is that of the whole batch for any loss, Dice over the batch
        included, for a third more of the time (Gao et al. 2021, arXiv:2101.06983, section 3).
        """
        self.optimiser.zero_grad(set_to_none=True)
        if self.pieces == 1:
            loss = self.loss(self.forward(batch.image, seed), batch.truth, batch.weights)
            torch.autograd.backward(self.scaler.scale(loss))
            return loss
        images = list(enumerate(batch.image.tensor_split(self.pieces), start=seed))
        with torch.no_grad():
            logits = torch.cat([self.forward(image, own) for own, image in images])
        logits.requires_grad_()
        loss = self.loss(logits, batch.truth, batch.weights)
        (slopes,) = torch.autograd.grad(self.scaler.scale(loss), logits)
        for (own, image), slope in zip(images, slopes.tensor_split(self.pieces), strict=True):
            torch.autograd.backward(self.forward(image, own), slope)
        return loss

    def forward(self, image: Tensor, seed: int) -> Tensor:
        """Return the logits of (B, C, *S), at least in float32; `seed` is that of the dropout."""
        halved = self.dtype != torch.float32
        with (
            torch.random.fork_rng(devices=[]),
            torch.autocast(self.device.type, self.dtype, enabled=halved),
        ):
            torch.manual_seed(seed)
            logits = self.compute(image)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold for the next step to be the same, as JSON has it."""
        return {"pieces": self.pieces, "scaler": self.scaler.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.pieces = state["pieces"]
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])

    def _differentiate(self, batch: Batch, seed: int) -> float:
        """Call `differentiate`, with the batch in more pieces each time that memory runs out."""
        while True:
            try:
                return float(self.differentiate(batch, seed).detach())
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.pieces >= self.most_pieces:
                    raise
            # outside of the except clause: the error holds on to what was computed
            self.optimiser.zero_grad(set_to_none=True)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self.pieces = min(2 * self.pieces, self.most_pieces)
            self.notes.append(self._describe_pieces(len(batch.image)))

    def _describe_pieces(self, count: int) -> str:
        norm = ", but batch norm sees a piece at a time" if self.batch_norm else ""
        return (
            f"out of memory: batches of {count} are computed in {self.pieces} pieces, which takes "
            f"a third longer; the gradient is that of the whole batch{norm}"
        )
