"""The most memory that was taken, not what is held before, between or after."""

from __future__ import annotations

import numpy as np
import torch

from napari_unet.inference.peak import EVERY_S, PeakMemory

BLOCK_MIB = 64


def block() -> np.ndarray:
    return np.ones((BLOCK_MIB, 2**20), np.uint8)


def test_the_peak_counts_and_what_was_held_before_does_not() -> None:
    held = block()
    with PeakMemory(torch.device("cpu")) as memory:
        taken = [block(), block()]
        memory._left.wait(3 * EVERY_S)  # until the watch has looked
        del taken
    assert 1.9 * BLOCK_MIB < memory.mib < 3 * BLOCK_MIB
    assert not memory._watch.is_alive()
    assert held.all()


def test_the_watch_ends_with_an_error() -> None:
    memory = PeakMemory(torch.device("cpu"))
    try:
        with memory:
            raise KeyError
    except KeyError:
        assert not memory._watch.is_alive()
