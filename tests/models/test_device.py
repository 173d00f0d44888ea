"""Devices that are there, and errors that say memory ran out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.config import InputError, ModelConfig
from napari_unet.models.device import choose_device, is_out_of_memory, list_devices, place
from napari_unet.models.registry import build


def test_auto_is_a_device_that_works() -> None:
    assert torch.ones(2, device=choose_device("auto")).sum().item() == 2


def test_cpu_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:77", "gpu", "", "CPU", "meta"])
def test_what_is_not_there_is_refused_with_the_choice(name: str) -> None:
    with pytest.raises(InputError, match=r"choose from auto, .*cpu") as caught:
        choose_device(name)
    assert caught.value.code == "U160"


def test_too_much_for_the_cpu_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**46)
    assert is_out_of_memory(caught.value)


def test_too_much_for_numpy_is_recognised() -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(2**48)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.01 GB)"),
        RuntimeError("[enforce fail] data. DefaultCPUAllocator: not enough memory: you tried"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_known_words_are_recognised(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Sizes of tensors must match except in dimension 1"),
        ValueError("out of memory"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_are_not(error: BaseException) -> None:
    assert not is_out_of_memory(error)


def test_the_cpu_stands_last_and_every_device_has_a_title() -> None:
    there = list_devices()
    assert there[-1].name == "cpu"
    assert all(device.title and choose_device(device.name) for device in there)
    assert there[-1].memory_gib > 0


@pytest.mark.parametrize(("base", "last"), [(2, False), (8, True)])
def test_narrow_strided_projections_stay_in_the_plain_layout(base: int, last: bool) -> None:
    """With channels last the backward pass of torch 2.13 ends the process after some steps."""
    config = ModelConfig(architecture="residual", variant="zhang2018", base=base, depth=1)
    network = place(build(config), torch.device("cpu"), 2)
    kernels = [p for p in network.parameters() if p.ndim == 4 and min(p.shape) > 1]
    assert kernels
    stored_last = [p.is_contiguous(memory_format=torch.channels_last) for p in kernels]
    assert all(stored_last) if last else not any(stored_last)
