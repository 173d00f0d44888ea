"""The numbers a network computes in are those that the device is good at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from napari_unet.config import InputError
from napari_unet.models import precision
from napari_unet.models.precision import bf16_pays, half_dtype
from tests.models.conftest import STYLES, settle

if TYPE_CHECKING:
    from tests.models.conftest import Grown

CPU = torch.device("cpu")


def test_a_cpu_computes_in_float32_unless_told_otherwise() -> None:
    assert half_dtype(CPU, "auto") == torch.float32
    assert half_dtype(CPU, "float32") == torch.float32
    assert half_dtype(CPU, "bfloat16") == torch.bfloat16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_graphics_card_computes_in_half() -> None:
    assert half_dtype(torch.device("cuda"), "auto") == torch.float16


@pytest.mark.parametrize(("device", "name"), [("cpu", "float16"), ("meta", "bfloat16")])
def test_numbers_that_cannot_be_had_are_refused(device: str, name: precision.Precision) -> None:
    with pytest.raises(InputError, match=f"{device} does not compute in {name}") as caught:
        half_dtype(torch.device(device), name)
    assert caught.value.code == "U160"


@pytest.mark.parametrize("instructions", [{}, {"avx512_bf16": False, "avx2": True}])
def test_without_instructions_nothing_is_measured(
    instructions: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_capabilities", lambda: instructions)
    assert not bf16_pays(torch.nn.Identity(), torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("winner", ["float32", "bfloat16"])
def test_with_instructions_the_measurement_decides(
    grown: Grown, winner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settle("unet", "", STYLES[0])()
    dtypes = {}

    def measured(candidates: dict[str, torch.nn.Module], image: torch.Tensor) -> str:
        dtypes.update({name: run(image).dtype for name, run in candidates.items()})
        return winner

    monkeypatch.setattr(precision, "_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr(precision, "fastest", measured)
    assert bf16_pays(grown(config).float(), torch.zeros(1, 1, 16, 16)) == (winner == "bfloat16")
    assert dtypes == {"float32": torch.float32, "bfloat16": torch.bfloat16}
