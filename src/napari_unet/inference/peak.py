"""How much memory something takes at most, measured while it runs."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from typing import TYPE_CHECKING, Self

import psutil
import torch

if TYPE_CHECKING:
    from types import TracebackType

EVERY_S = 0.05
MIB = 2**20


class PeakMemory:
    """Watches memory from entering to leaving; `mib` is the most beyond what was held before.

    On a graphics card, of what torch allocated there; else of the resident memory of the whole
    process, looked at twenty times a second by a thread.

    Parameters
    ----------
    device : torch.device
        Where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self.mib = 0.0
        self._device = device
        self._held_mib = 0.0
        self._left = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        _give_back()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            self._held_mib = torch.cuda.memory_allocated(self._device) / MIB
        else:
            self._held_mib = _resident_mib()
            self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._device.type == "cuda":
            self.mib = torch.cuda.max_memory_allocated(self._device) / MIB - self._held_mib
        else:
            self._left.set()
            self._watch.join()

    def _look(self) -> None:
        while True:
            self.mib = max(self.mib, _resident_mib() - self._held_mib)
            if self._left.wait(EVERY_S):
                return


def _resident_mib() -> float:
    return float(psutil.Process().memory_info().rss) / MIB


def _give_back() -> None:
    """Drop what is no longer used, so that it neither counts nor is taken anew for nothing."""
    gc.collect()
    if sys.platform == "linux":  # the C library keeps freed memory; not every one can be asked
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
