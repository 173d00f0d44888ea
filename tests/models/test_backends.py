"""Other programs compute what torch does, or are refused."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import torch

from napari_unet.config import ARCHITECTURES, InputError
from napari_unet.models import backends
from napari_unet.models.backends import (
    Backend,
    available_backends,
    fastest,
    load_backend,
)
from napari_unet.models.geometry import measure
from tests.models.conftest import settle, styles

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_unet.config import ModelConfig
    from napari_unet.tiling import Geometry
    from tests.models.conftest import Grown

OTHERS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name not in available_backends(), reason=f"extra {name} is not installed"
        ),
    )
    for name in backends.NEEDS
]
to_onnx = backends.to_onnx
WINDOWS = {1: [(1,), (9,)], 2: [(1, 1), (3, 8)], 3: [(1, 1, 1), (2, 1, 3)]}  # in steps


@pytest.fixture(scope="module")
def written() -> dict[ModelConfig, bytes]:
    """Networks as ONNX."""
    return {}


@pytest.fixture
def _written_once(written: dict[ModelConfig, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both programs share what torch takes a second or two to write."""

    def write(network: nn.Module, config: ModelConfig, geometry: Geometry) -> bytes:
        if config not in written:
            written[config] = to_onnx(network, config, geometry)
        return written[config]

    monkeypatch.setattr(backends, "to_onnx", write)


def one_of(architecture: str, ndim: int, **changes: object) -> ModelConfig:
    """Make settings of a small network whose axes differ, in the style with the most options."""
    depth = 2 if ndim == 2 else 1
    style = styles(architecture)[-1] | {"kernel": 3, "blocks": 1}
    small = settle(architecture, "", style)
    return small(**{"ndim": ndim, "depth": depth, "base": 2, "in_channels": 2, **changes})


def window(config: ModelConfig, steps: tuple[int, ...], seed: int = 0) -> Tensor:
    """Draw an image of a legal size, `steps` steps larger than the smallest along each axis."""
    geometry = measure(config)
    sizes = zip(geometry.smallest, steps, geometry.step, strict=True)
    rng = torch.Generator().manual_seed(seed)
    shape = [smallest + (n - 1) * step for smallest, n, step in sizes]
    return torch.randn(1, config.in_channels, *shape, generator=rng)


@torch.inference_mode()
def agree(backend: Backend, network: nn.Module, image: Tensor) -> None:
    torch.testing.assert_close(backend(image), network(image), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("_written_once")
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(
    ("architecture", "ndim"),
    [(a, 2) for a in ARCHITECTURES]
    + [(a, ndim) for a in ("unet2015", "attention", "vnet") for ndim in (1, 3)],
)
def test_computes_what_torch_does_at_every_size(
    grown: Grown, architecture: str, ndim: int, name: str
) -> None:
    config = one_of(architecture, ndim)
    network = grown(config).float()
    backend = load_backend(name, network, config, measure(config), threads=1)
    for seed, steps in enumerate(WINDOWS[ndim]):
        agree(backend, network, window(config, steps, seed))


@pytest.mark.usefixtures("_written_once")
@pytest.mark.parametrize("name", OTHERS)
def test_axes_may_differ(grown: Grown, name: str) -> None:
    config = one_of("residual", 3, depth=2, flat=(1, 0, 0), halvings=(0, 1, 1))
    network = grown(config).float()
    backend = load_backend(name, network, config, measure(config), threads=1)
    agree(backend, network, window(config, (3, 2, 1)))


@pytest.mark.parametrize("name", OTHERS)
def test_leaves_the_network_torch_and_the_streams_as_they_were(
    grown: Grown, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    config = one_of("attention", 2)
    network = grown(config).float()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    state, modules = torch.get_rng_state(), str(network)
    load_backend(name, network, config, measure(config), threads=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert str(network) == modules
    assert all(torch.equal(v, before[key]) for key, v in network.state_dict().items())
    assert capfd.readouterr() == ("", "")  # the engine speaks over the standard streams


@pytest.mark.usefixtures("_written_once")
@pytest.mark.parametrize("name", OTHERS)
def test_other_numbers_are_refused(grown: Grown, name: str) -> None:
    config = one_of("unet", 2)
    geometry, network, stranger = measure(config), grown(config).float(), grown(config, seed=1)
    load_backend(name, network, config, geometry, threads=1)  # as it is written from now on
    with pytest.raises(InputError, match="other numbers than torch") as caught:
        load_backend(name, stranger.float(), config, geometry, threads=1)
    assert caught.value.code == "U162"


@pytest.mark.parametrize("name", OTHERS)
def test_a_network_that_cannot_be_written_is_refused(grown: Grown, name: str) -> None:
    class Moody(torch.nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image if image.sum() > 0 else -image

    config = one_of("unet", 2)
    with pytest.raises(InputError, match=f"{name} cannot take this network") as caught:
        load_backend(name, Moody().eval(), config, measure(config), threads=1)
    assert caught.value.code == "U162"


def test_what_is_not_installed_is_refused(grown: Grown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.NEEDS, "openvino", ("no_such_package",))
    assert "openvino" not in available_backends()
    config = one_of("unet", 1)
    with pytest.raises(InputError, match=r"install napari-unet-lab\[openvino\]") as caught:
        load_backend("openvino", grown(config).float(), config, measure(config), None)
    assert caught.value.code == "U162"


def test_asking_what_is_there_imports_none_of_it() -> None:
    code = (
        "import sys; from napari_unet.models.backends import available_backends as ask; ask();"
        "assert not {'openvino', 'onnxruntime', 'onnx', 'onnxscript'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


ALONE = """
import sys
from napari_unet.config import ModelConfig
from napari_unet.models.backends import load_backend
from napari_unet.models.geometry import measure
from napari_unet.models.registry import build

config = ModelConfig(architecture="unet", ndim=1, base=2, depth=1)
for name in sys.argv[1:]:
    load_backend(name, build(config).eval(), config, measure(config), 1)
    assert "openvino_telemetry" not in sys.modules
"""


def test_no_report_is_prepared(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = available_backends()[1:]
    if not others:
        pytest.skip("no extra is installed")
    home = tmp_path_factory.mktemp("home")
    for variable in ("HOME", "XDG_CACHE_HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(home))
    monkeypatch.delenv("CI", raising=False)  # where neither reports anyway
    subprocess.run([sys.executable, "-c", ALONE, *others], cwd=home, check=True)
    assert list(home.iterdir()) == []  # both keep who they report for in the user's folder


SHORT = """
import resource, sys
import psutil, torch
from napari_unet.config import ModelConfig
from napari_unet.models.backends import load_backend
from napari_unet.models.geometry import measure
from napari_unet.models.registry import build

config = ModelConfig(architecture="unet", base=16, depth=2)
network = build(config).eval()
backend = load_backend(sys.argv[1], network, config, measure(config), 1)
_, most = resource.getrlimit(resource.RLIMIT_AS)
for size in (16, 32):
    backend(torch.zeros(1, 1, size, size))
    taken = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (taken + 100 * 2**20, most))
    try:
        backend(torch.zeros(1, 1, 4096, 4096))
    except MemoryError:
        pass
    else:
        raise AssertionError("a gigabyte was found in 100 MiB")
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    image = torch.randn(1, 1, size, size)
    with torch.inference_mode():
        torch.testing.assert_close(backend(image), network(image), rtol=1e-4, atol=1e-4)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no other system limits memory in this way")
@pytest.mark.parametrize("name", OTHERS)
def test_too_much_is_told_and_the_next_window_is_right(name: str) -> None:
    subprocess.run([sys.executable, "-c", SHORT, name], check=True)


def test_the_fastest_is_found_by_its_time() -> None:
    image = torch.zeros(1)
    turns: list[str] = []

    def wait(name: str, seconds: float) -> Tensor:
        turns.append(name)
        threading.Event().wait(seconds)
        return image

    candidates = {n: lambda _, n=n, s=s: wait(n, s) for n, s in {"slow": 0.05, "fast": 0}.items()}
    assert fastest(candidates, image, repeats=2) == "fast"
    assert turns == ["slow", "fast"] * 3  # in turns, the first to warm up
