"""Small networks with everything random that training would have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from napari_unet.config import ARCHITECTURES, ModelConfig
from napari_unet.models.registry import build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Networks this small are slower on several threads, far slower where cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    """Every name in the zoo."""
    return request.param


@pytest.fixture
def small(architecture: str) -> Callable[..., ModelConfig]:
    """Settings of a small network of each architecture, changed as the test likes."""

    def config(**changes: Any) -> ModelConfig:
        settings = {"classes": 3, "base": 3, "depth": 2, "dropout": 0.0, **changes}
        return ModelConfig(architecture=architecture, **settings)

    return config


@pytest.fixture
def grown() -> Callable[..., nn.Module]:
    """Build a network as if trained: biases and norms are no longer 0 and 1; float64, eval."""

    def build_and_shake(config: ModelConfig, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        network = build(config).double().eval()
        with torch.no_grad():
            for name, values in network.state_dict().items():
                if name.endswith(("bias", "running_mean")):
                    values += 0.1 * torch.randn_like(values)
                if name.endswith("running_var"):
                    values *= 0.5 + torch.rand_like(values)
        return network

    return build_and_shake
