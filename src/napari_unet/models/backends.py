"""Other programs that compute a network on a CPU, where they are installed and agree with torch.

A network goes to them as ONNX, in memory, with sizes left open: it is compiled once and takes
windows of any legal size. Both programs would report to their makers that they are used; both are
kept from it, and nothing is downloaded or written.

They give logits only. Alpha maps stay with torch: as a second output OpenVINO 2026.4 gives wrong
ones where a map has a single cell.
"""

from __future__ import annotations

import copy
import io
import logging
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_unet.config import InputError
from napari_unet.models.device import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unet.config import ModelConfig
    from napari_unet.tiling import Geometry

Name = Literal["openvino", "onnxruntime"]
Compute = Callable[[NDArray[Any]], NDArray[Any]]  # (1, C, *S) float32 -> (1, K, *S')

TOLERANCE = 1e-3  # of the spread of torch's logits; 1e-6 to 2e-5 is usual
NEEDS: Mapping[Name, Sequence[str]] = {  # torch writes ONNX with onnx and onnxscript
    "openvino": ("openvino", "onnx", "onnxscript"),
    "onnxruntime": ("onnxruntime", "onnx", "onnxscript"),
}
_NO_MEMORY = (
    "bad_alloc",  # OpenVINO, Linux and macOS
    "bad allocation",  # OpenVINO, Windows
    "can't alloc",  # OpenVINO, within a layer
    "Broken promise",  # OpenVINO, while a layer is compiled
    "Failed to allocate",  # both
)
_TORCH = "choose backend torch"


class Backend:
    """A network compiled by another program; made by `load_backend`.

    Parameters
    ----------
    name : str
        Of the program.
    compute : callable
        (1, C, *S) float32 -> (1, K, *S').
    """

    def __init__(self, name: Name, compute: Compute) -> None:
        self.name = name
        self._compute = compute

    def __call__(self, image: Tensor) -> Tensor:
        """Return the logits (1, K, *S') of an image (1, C, *S), float32 on the CPU.

        Raises
        ------
        MemoryError
            If memory ran out, so that a smaller window may help.
        """
        try:
            logits = self._compute(image.contiguous().numpy())
        except Exception as error:  # neither program has a class of its own for this
            if any(words in str(error) for words in _NO_MEMORY):
                raise MemoryError(f"{self.name}: {error}") from error
            raise
        return torch.from_numpy(logits)


def available_backends() -> tuple[str, ...]:
    """Return what can compute on a CPU here: torch, and the others that are installed.

    Nothing is imported to find out.
    """
    others = [name for name, needs in NEEDS.items() if all(map(find_spec, needs))]
    return ("torch", *others)


def load_backend(
    name: Name, network: nn.Module, config: ModelConfig, geometry: Geometry, threads: int | None
) -> Backend:
    """Compile a network with another program, and check that it computes what torch does.

    Takes some seconds, once per network; the result takes any legal size.

    Parameters
    ----------
    name : {"openvino", "onnxruntime"}
    network : nn.Module
        float32, on the CPU, in evaluation mode. It is left as it was.
    config : ModelConfig
        Of the network.
    geometry : Geometry
        What it does to space.
    threads : int or None
        That the program may use; None: as many as torch.

    Raises
    ------
    InputError
        U162 if the program is not installed, cannot take the network, or gives logits that
        differ from torch's by more than 1e-3 of their spread.
    """
    if name not in available_backends():
        remedy = f"install napari-unet-lab[{name}], or {_TORCH}"
        raise InputError("U162", f"backend {name} is not installed", remedy)
    n_threads = threads or torch.get_num_threads()
    programs: Mapping[Name, Callable[[bytes, int], Compute]]
    programs = {"openvino": _OpenVINO, "onnxruntime": _load_onnxruntime}
    try:
        with _quiet():
            model = to_onnx(network, config, geometry)
            backend = Backend(name, programs[name](model, n_threads))
    except Exception as error:  # three libraries, with families of their own
        if is_out_of_memory(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        what = f"{name} cannot take this network ({reason})"
        raise InputError("U162", what, _TORCH) from error
    _check(backend, network, config.in_channels, geometry)
    return backend


def to_onnx(network: nn.Module, config: ModelConfig, geometry: Geometry) -> bytes:
    """Write a network as ONNX: "image" (1, C, *S) of any legal size -> "logits" (1, K, *S').

    Parameters
    ----------
    network : nn.Module
        float32, on the CPU, in evaluation mode.
    config : ModelConfig
        Of the network.
    geometry : Geometry
        What it does to space.
    """
    dims = {}
    for axis, (step, smallest) in enumerate(zip(geometry.step, geometry.smallest, strict=True)):
        steps = torch.export.Dim(f"steps{axis}", min=2, max=2**20)
        dims[axis + 2] = step * steps + smallest % step
    sizes = [geometry.smallest[axis] + (2 + axis) * step for axis, step in enumerate(geometry.step)]
    image = torch.zeros(1, config.in_channels, *sizes)
    free = _free_lines(network)
    exported = torch.export.export(free, (image,), dynamic_shapes=(dims,), strict=False)
    program = torch.onnx.export(
        exported, dynamo=True, verbose=False, input_names=["image"], output_names=["logits"]
    )
    assert program is not None  # what torch returns if told to write a file
    written: bytes = program.model_proto.SerializeToString()
    return written


def fastest(
    candidates: Mapping[str, Callable[[Tensor], Tensor]], image: Tensor, repeats: int = 3
) -> str:
    """Return the name of the candidate that takes the least time for `image`.

    All run once to warm up, then in turns; medians of `repeats` are compared, and of equals the
    first is taken.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    with torch.inference_mode():
        for _ in range(1 + repeats):
            for name, run in candidates.items():
                start = time.perf_counter()
                run(image)
                seconds[name].append(time.perf_counter() - start)
    return min(seconds, key=lambda name: statistics.median(seconds[name][1:]))


class _LinePool(nn.Module):
    """Does what `MaxPool1d` does, which torch.export ties to the size of its example."""

    def __init__(self, pool: nn.MaxPool1d) -> None:
        super().__init__()
        size = pool.kernel_size
        self.taps = (size if isinstance(size, int) else size[0], 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(x[..., None], self.taps)[..., 0]


def _free_lines(network: nn.Module) -> nn.Module:
    """Return a network that can be exported for all sizes: itself, or a copy in 1-D."""
    if not any(isinstance(layer, nn.MaxPool1d) for layer in network.modules()):
        return network
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.MaxPool1d):
                setattr(parent, name, _LinePool(child))
    return network


class _OpenVINO:
    """A network compiled in float32: left alone, OpenVINO takes bfloat16 where the CPU has it.

    Its Python package reports every import to its makers, unless the package that does so is
    not there: it is hidden while OpenVINO is imported.
    """

    def __init__(self, model: bytes, threads: int) -> None:
        with _hidden("openvino_telemetry"):
            import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,  # several processes would sit on the same cores
        }
        self._tensor = openvino.Tensor
        self._compile = partial(core.compile_model, core.read_model(model), "CPU", settings)
        self._request: Any = None

    def __call__(self, image: NDArray[Any]) -> NDArray[Any]:
        # A request during which memory ran out gives old numbers for new images from then on, and
        # its model is in disorder: both are used again only after a success. `infer()` would not
        # even raise.
        request = self._request or self._compile().create_infer_request()
        self._request = None
        request.set_input_tensor(self._tensor(image))
        request.start_async()
        request.wait()
        logits: NDArray[Any] = request.get_output_tensor(0).data.copy()
        self._request = request
        return logits


def _load_onnxruntime(model: bytes, threads: int) -> Compute:
    """Compile for ONNX Runtime; the variable is its own way to be told not to report its use."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what fails is raised as well
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})[0]


def _check(backend: Backend, network: nn.Module, channels: int, geometry: Geometry) -> None:
    """Compare with torch on a fixed random image, of another size than the one exported with."""
    sizes = [geometry.legal(axis, 2 * step) for axis, step in enumerate(geometry.step)]
    rng = torch.Generator().manual_seed(0)
    image = torch.randn(1, channels, *sizes, generator=rng)
    with torch.inference_mode():
        logits = network(image)
    spread = float(logits.std()) or 1.0
    difference = float((backend(image) - logits).abs().max()) / spread
    if not difference <= TOLERANCE:
        what = (
            f"{backend.name} gives other numbers than torch (difference {difference:.2g} of the "
            f"spread, at most {TOLERANCE:g})"
        )
        raise InputError("U162", what, _TORCH)


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Let `import module` fail, unless it has been imported before."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment] # how Python says that there is none
    try:
        yield
    finally:
        del sys.modules[module]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what torch prints and warns of; whatever fails is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
