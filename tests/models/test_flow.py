"""What flows through a network comes out as if it had passed at once."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from napari_unet.config import ModelConfig
from napari_unet.models.attention import watch_gates
from napari_unet.models.flow import Flow
from napari_unet.models.geometry import measure
from napari_unet.models.graph import Graph, make_graph
from napari_unet.models.schedule import estimate_bytes
from napari_unet.tiling import Geometry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_unet.models.graph import Box
    from tests.models.conftest import Grown, Small


def noise(*shape: int) -> Tensor:
    """Return an image (1, C, *S), the same each time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, *shape, dtype=torch.float64, generator=generator)


def blocks_of(flow: Flow, image: Tensor) -> Iterator[Tensor]:
    """Cut what a flow asks for out of an image."""
    columns = [slice(a, b) for a, b in flow.box[1:]]
    for start, stop in flow.blocks:
        yield image[(slice(None), slice(None), slice(start, stop), *columns)]


def stream(
    graph: Graph, image: Tensor, rows: int, wanted: dict[str, Box] | None = None
) -> dict[str, Tensor]:
    """Let an image flow through a network; return the outputs, put together."""
    sizes = graph.sizes(image.shape[2:])
    whole = {name: tuple((0, n) for n in sizes[i]) for name, i in graph.outputs.items()}
    flow = Flow(graph, image.shape[2:], wanted or whole, rows)
    pieces: dict[str, list[Tensor]] = {}
    at = {name: box[0][0] for name, box in (wanted or whole).items()}
    with torch.inference_mode():
        for block in blocks_of(flow, image):
            for name, start, piece in flow.push(block):
                assert start == at[name]  # in order, without a gap
                at[name] += piece.shape[2]
                pieces.setdefault(name, []).append(piece.clone())
    assert at == {name: box[0][1] for name, box in (wanted or whole).items()}
    return {name: torch.cat(found, dim=2) for name, found in pieces.items()}


def at_once(network: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """Run the plain network on the whole image."""
    with torch.inference_mode(), watch_gates(network) as gates:
        return {"logits": network(image), **gates}


def agree(parts: dict[str, Tensor], whole: dict[str, Tensor], tolerance: float = 1e-12) -> None:
    assert parts.keys() == whole.keys()
    for name, part in parts.items():
        torch.testing.assert_close(part, whole[name], rtol=0, atol=tolerance)


class Valid(nn.Module):
    """Convolutions that lose their border, a cropped shortcut that a convolution takes as well."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return six channels of what is left."""
        x = self.first(x)
        return torch.cat([x[:, :, 1:-1, 1:-1], self.second(x)], dim=1)


class Late(nn.Module):
    """A shortcut that waits long for what it is added to."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act = nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=True)
        self.way = nn.Sequential(*(nn.Conv2d(3, 3, 5, padding=2) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        """Return three channels."""
        x = self.first(x)
        return self.act(self.way(x) + x)


class Waist(nn.Module):
    """Halved and doubled again in ways of its own, with a shortcut."""

    def __init__(self, down: nn.Module, up: nn.Module, channels: int = 2) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, channels, (1, 3), padding=(0, 1)), nn.ReLU())
        self.down, self.up = down, up
        self.head = nn.Conv2d(2 * channels, 2, (3, 1), padding=(1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """Return two channels."""
        x = self.stem(x)
        return self.head(torch.cat([self.up(self.down(x)), x], dim=1))


HAND_MADE: dict[str, tuple[Callable[[], nn.Module], int, int]] = {  # network, step, lost
    "cropped shortcut": (Valid, 1, 2),
    "late sum": (Late, 1, 0),
    "thirds": (lambda: Waist(nn.MaxPool2d(3), nn.Upsample(scale_factor=3.0)), 3, 0),
    "blended thirds": (
        lambda: Waist(nn.MaxPool2d(3), nn.Upsample(scale_factor=3.0, mode="bilinear")), 3, 0,
    ),
    "strided": (
        lambda: Waist(nn.Conv2d(2, 2, 5, 2, padding=2), nn.ConvTranspose2d(2, 2, 2, 2)), 2, 0,
    ),
    "one axis": (
        lambda: Waist(nn.MaxPool2d((1, 2)), nn.Upsample(scale_factor=(1.0, 2.0), mode="bilinear")),
        2, 0,
    ),
    "pre-activated": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1), nn.Dropout(0.3), nn.ReLU(inplace=True),
            nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1),
        ), 1, 0,
    ),
}  # fmt: skip


@pytest.fixture(params=HAND_MADE)
def hand_made(request: pytest.FixtureRequest) -> tuple[nn.Module, Graph, int]:
    """A network that no paper has, its graph, and its step."""
    make, step, lost = HAND_MADE[request.param]
    torch.manual_seed(0)
    network = make().double().eval()
    smallest = 2 * lost + step
    geometry = Geometry((step, step), (0, 0), (lost, lost), (smallest, smallest))
    return network, make_graph(network, ModelConfig(ndim=2), geometry), step


@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_any_network_of_known_layers_flows(
    hand_made: tuple[nn.Module, Graph, int], rows: int
) -> None:
    network, graph, step = hand_made
    image = noise(1, 20 * step, 9 * step)
    whole = at_once(network, image)
    agree(stream(graph, image, rows), whole)
    height, width = whole["logits"].shape[2:]
    window = ((height // 3, height // 3 + 2), (1, width - 2))
    part = {"logits": whole["logits"][:, :, slice(*window[0]), slice(*window[1])]}
    agree(stream(graph, image, rows, {"logits": window}), part)


def test_what_is_not_asked_for_is_not_looked_at(small: Small, grown: Grown) -> None:
    """Beyond `box` may stand what likes: it is neither pushed nor seen by the plain network."""
    config = small(norm="batch")
    network, geometry = grown(config), measure(config)
    graph = make_graph(network, config, geometry)
    size = [geometry.input_size(axis, n) for axis, n in enumerate((20, 36))]
    window = ((5, 8), (17, 19))
    image = noise(1, *size)
    box = Flow(graph, size, {"logits": window}, 4).box
    assert all(0 <= a < b <= n for (a, b), n in zip(box, size, strict=True))
    torn = torch.full_like(image, torch.nan)
    inside = (..., *(slice(a, b) for a, b in box))
    torn[inside] = image[inside]
    part = stream(graph, torn, 4, {"logits": window})
    agree(part, {"logits": at_once(network, image)["logits"][:, :, 5:8, 17:19]})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_differs_by_rounding(
    small: Small, grown: Grown, dtype: torch.dtype
) -> None:
    config = small(norm="batch")
    network = grown(config)
    size = [measure(config).input_size(axis, 24) for axis in (0, 1)]
    whole = at_once(network, noise(1, *size))["logits"]
    lower = copy.deepcopy(network).to(dtype)
    part = stream(make_graph(lower, config, measure(config)), noise(1, *size).to(dtype), 8)[
        "logits"
    ]
    assert part.dtype == dtype
    tolerance = 1e-4 if dtype == torch.float32 else 0.2
    assert (part.double() - whole).abs().max() <= tolerance * whole.std()


def test_the_network_is_left_as_it_was(small: Small, grown: Grown) -> None:
    config = small(norm="batch", dropout=0.5)
    network, geometry = grown(config), measure(config)
    before = copy.deepcopy(network.state_dict())
    size = [geometry.input_size(axis, 9) for axis in (0, 1)]
    for dropout in (False, True):
        stream(make_graph(network, config, geometry, dropout=dropout), noise(1, *size), 4)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(module.training for module in network.modules())


def test_the_image_is_left_as_it_was(hand_made: tuple[nn.Module, Graph, int]) -> None:
    _, graph, step = hand_made
    image = noise(1, 20 * step, 9 * step)
    before = image.clone()
    stream(graph, image, 3)
    assert torch.equal(image, before)


def held_bytes(flow: Flow) -> int:
    """Count what a flow remembers between two blocks."""
    numbers = 0
    for store in flow._stores:
        buffers = [rows for _, rows in store._pieces]
        buffers += [store._buffer] if store._buffer is not None else []
        numbers += sum(rows.numel() * rows.element_size() for rows in buffers)
    return numbers


def remember(graph: Graph, size: Sequence[int], rows: int) -> tuple[int, int]:
    """Return the most that is remembered while an image flows, and the estimate of all memory."""
    sizes = graph.sizes(size)
    wanted = {"logits": tuple((0, n) for n in sizes[-1])}
    flow = Flow(graph, size, wanted, rows)
    most = 0
    with torch.inference_mode():
        for block in blocks_of(flow, noise(1, *size).float()):
            for _ in flow.push(block):
                most = max(most, held_bytes(flow))
    return most, estimate_bytes(Flow(graph, size, wanted, rows).schedule)


def test_what_is_remembered_does_not_grow_with_the_image(small: Small, grown: Grown) -> None:
    """Nor is it ever more than the plan says."""
    config = small()
    geometry = measure(config)
    graph, rows = make_graph(grown(config).float(), config, geometry), 2 * geometry.step[0]
    found = []
    for times in (40, 80):
        size = [geometry.input_size(0, times * rows), geometry.input_size(1, 16)]
        most, estimate = remember(graph, size, rows)
        assert most <= estimate
        found.append(most)
    assert found[0] == found[1]


def test_an_unknown_function_is_named() -> None:
    class Odd(nn.Module):
        """A function that is no layer."""

        def forward(self, x: Tensor) -> Tensor:
            """Return the image, bent."""
            return torch.tanh(x)

    geometry = Geometry((1,), (0,), (0,), (1,))
    graph = make_graph(Odd(), ModelConfig(ndim=1), geometry)
    with pytest.raises(NotImplementedError, match="tanh is not known here"):
        stream(graph, noise(1, 4), 2)
