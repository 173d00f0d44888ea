"""Small networks of every form, with everything random that training would have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from napari_unet.config import ARCHITECTURES, OPTIONS, ModelConfig
from napari_unet.models.registry import build

if TYPE_CHECKING:
    from collections.abc import Iterator

Small = Callable[..., ModelConfig]  # settings of a small network, changed as the test likes
Grown = Callable[..., nn.Module]

FORMS = [(name, variant) for name, a in ARCHITECTURES.items() for variant in a.variants]
STYLES = [  # every value of every option stands in one of them; a network takes those it has
    {"norm": "none", "upsampling": "nearest", "pooling": "max"},
    {"norm": "batch", "upsampling": "linear", "pooling": "conv", "gates": "all", "kernel": 3},
    {
        "norm": "batch",
        "upsampling": "transposed",
        "pooling": "max",
        "supervision": True,
        "kernel": 5,
        "blocks": 2,
        "expansion": 2,
    },
]


def styles(name: str) -> list[dict[str, Any]]:
    """Reduce the styles to what an architecture has, each once."""
    own = [{k: v for k, v in s.items() if k in ARCHITECTURES[name].options} for s in STYLES]
    return [style for number, style in enumerate(own) if style not in own[:number]]


STYLED = [(*form, style) for form in FORMS for style in styles(form[0])]
FIRST = [
    (name, next(iter(architecture.variants)), style)
    for name, architecture in ARCHITECTURES.items()
    for style in styles(name)
]


def settle(name: str, variant: str, style: dict[str, Any]) -> Small:
    """Return a function that makes settings of a small network, without what it does not have."""

    def config(**changes: Any) -> ModelConfig:
        settings = {"classes": 3, "base": 3, "depth": 2, "dropout": 0.0, **style, **changes}
        absent = {*OPTIONS} - {*ARCHITECTURES[name].options}
        settings = {key: value for key, value in settings.items() if key not in absent}
        return ModelConfig(architecture=name, variant=variant, **settings)

    return config


def on_paper(config: ModelConfig) -> nn.Module:
    """Build a network of shapes without numbers, in evaluation mode."""
    with torch.device("meta"):
        return build(config).eval()


def count(network: nn.Module) -> int:
    """Count the parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def label(form: Any) -> str:
    """Name a form, or a form and its style, in the report."""
    return "-".join(map(str, [*form[:2], *(form[2].values() if form[2:] else ())]))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Networks this small are slower on several threads, far slower where cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=FORMS, ids=label)
def small(request: pytest.FixtureRequest) -> Small:
    """Small networks: every variant of every architecture."""
    return settle(*request.param, STYLES[0])


@pytest.fixture(params=STYLED, ids=label)
def styled(request: pytest.FixtureRequest) -> Small:
    """Small networks: every variant of every architecture in every style."""
    return settle(*request.param)


@pytest.fixture(params=FIRST, ids=label)
def first(request: pytest.FixtureRequest) -> Small:
    """Small networks: every architecture in every style, one variant each (for volumes)."""
    return settle(*request.param)


@pytest.fixture
def grown() -> Grown:
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
