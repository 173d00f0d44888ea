"""Several processes that train one network, started by `torchrun`: who does what.

All do the same: they draw the same patches, hold the same parameters, validate, and come to the
same decisions. Only the pass through the network is shared: each takes its part of the batch,
the logits are put together, and each takes the loss of the whole batch, whatever loss it is. Only
the first process writes and speaks.
"""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from napari_unet.config import InputError
from napari_unet.models.memory import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_unet.config import TrainConfig


@dataclass(frozen=True, slots=True)
class Ranks:
    """Who a process is among those that train together; alone unless told otherwise."""

    rank: int = 0
    world: int = 1  # how many there are
    local: int = 0  # rank among those of this machine

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def name(self, device: str) -> str:
        """Name the device of this process: of several, each has a graphics card of its own.

        Raises
        ------
        InputError
            U160 for a device that several processes cannot share.
        """
        if self.world == 1 or device == "cpu":
            return device
        if device not in ("auto", "cuda"):
            what = f"{self.world} processes cannot share device {device!r}"
            raise InputError("U160", what, "choose auto, cuda or cpu")
        return f"cuda:{self.local}" if torch.cuda.is_available() or device == "cuda" else "cpu"

    def agree(self, number: float) -> float:
        """Return the number that the first process has: what depends on time or memory differs."""
        if self.world == 1:
            return number
        told = torch.tensor(number, dtype=torch.float64)
        dist.broadcast(told, 0)
        return float(told)

    def agree_on(self, config: TrainConfig) -> TrainConfig:
        """Take patch and batch as the first process planned them."""
        if self.world == 1:
            return config
        planned = {key: int(self.agree(getattr(config, key) or 0)) for key in ("patch", "batch")}
        return config.model_copy(update={key: size or None for key, size in planned.items()})

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process; all must ask, between the same steps."""
        if self.world == 1:
            return flag
        flags = torch.tensor(int(flag))
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)

    def unite(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Let batch normalisation see the whole batch; on CPUs torch has no way to do so."""
        if self.world == 1 or device.type != "cuda":
            return network
        united: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call] # torch's stub lacks it
        return united

    def divide(self, network: nn.Module, batch: int) -> Callable[[Tensor], Tensor]:
        """Return what gives the logits of a whole batch, of which each process computes a part.

        Gradients add up over the processes to those of one process; so the loss must be taken
        of all logits, in each of them.

        Raises
        ------
        InputError
            U151 when some process would have nothing to do.
        """
        if self.world == 1:
            return network
        if batch < self.world:
            raise InputError(
                "U151",
                f"{self.world} processes share a batch of {batch} patches",
                f"set batch={self.world} or more, or start fewer processes",
            )
        shared = DistributedDataParallel(network)

        def forward(image: Tensor) -> Tensor:
            start, stop = (len(image) * rank // self.world for rank in (self.rank, self.rank + 1))
            part = shared(image[start:stop])
            logits: Tensor = _PutTogether.apply(part, len(image), start)  # type: ignore[no-untyped-call] # torch's stub lacks it
            return logits

        return forward

    def tell(self, config: TrainConfig, device: torch.device) -> list[str]:
        """Say what the user should know of the sharing."""
        if self.world == 1:
            return []
        batch = config.batch or BATCH[config.model.ndim]
        notes = [f"{self.world} processes share each batch of {batch} patches"]
        if config.model.norm == "batch" and device.type == "cpu":
            notes.append(
                "on CPUs batch normalisation takes its statistics from the part of each process "
                "while it learns; before a validation all take them from the same patches"
            )
        return notes


ALONE = Ranks()


def count_processes() -> int:
    """Return how many processes `torchrun` has started; 1 where it has not."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that `torchrun` has started; where it has not, this one is alone.

    Raises
    ------
    InputError
        U164 when another process has ended meanwhile.
    """
    world = count_processes()
    if world == 1:
        yield ALONE
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cards = torch.cuda.is_available()
    if cards and local < torch.cuda.device_count():
        torch.cuda.set_device(local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cards else "gloo")
    try:
        yield Ranks(dist.get_rank(), world, local)
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise InputError(
            "U164",
            f"another of the {world} processes has ended: {str(error).splitlines()[0]}",
            "see what it said; --resume goes on from the last checkpoint",
        ) from error
    gc.collect()  # networks that the group still serves
    dist.barrier()  # nobody leaves while another still talks: gloo ends such a process
    dist.destroy_process_group()  # after an error the process ends anyway, without waiting


class _PutTogether(torch.autograd.Function):
    """Logits of all processes, from those of each; the gradient of each is that of its own part."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, count: int, start: int) -> Tensor:
        ctx.part = slice(start, start + len(own))
        whole = own.new_zeros((count, *own.shape[1:]))
        whole[ctx.part] = own
        dist.all_reduce(whole)  # adds zeros: parts may be of different sizes
        return whole

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = slopes
        return slope[ctx.part] * dist.get_world_size(), None, None  # then the mean is their sum
