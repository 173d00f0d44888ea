"""Plans: what fits, what is computed twice, and words that say so."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_unet.arrays.axes import Picture
from napari_unet.config import InputError, PredictConfig
from napari_unet.inference import plan as planning
from napari_unet.inference.plan import plan_prediction
from napari_unet.inference.planned import GIB, Plan
from napari_unet.models.schedule import count_macs, find_boxes
from napari_unet.models.strips import FlowRunner, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_unet.inference.model import Model

    Models = Callable[..., Model]

FORMS = ["unet", "unet2015", "attention", "dense"]


class Pixels:
    """An image of any size that nobody may read."""

    dtype = np.dtype("uint8")

    def __init__(self, *shape: int) -> None:
        self.shape, self.ndim = shape, len(shape)

    def __getitem__(self, window: Any) -> Any:
        raise AssertionError("a plan reads no pixels")


def plan(model: Model, *shape: int, axes: str = "", **settings: Any) -> Plan:
    """Plan a prediction; `interactive` and `timed` are passed on, the rest is the config."""
    wishes = {key: settings.pop(key) for key in ("interactive", "timed") if key in settings}
    named = Picture(Pixels(*shape), axes or "ZYX"[-len(shape) :])
    return plan_prediction(model, named, PredictConfig.model_validate(settings), **wishes)


def macs(model: Model, shape: Sequence[int], windows: Sequence[tuple[slice, ...]]) -> float:
    """Count the multiply-adds of windows of an image, one by one."""
    mode = Mode(torch.device("cpu"))
    runner = FlowRunner(model.network, model.card.model, model.geometry, shape, mode)
    counts = (find_boxes(runner.graph, runner.sizes, runner.boxes(window)) for window in windows)
    return sum(count_macs(runner.graph, boxes) for boxes in counts)


def grid(region: Sequence[tuple[int, int]], edges: Sequence[int]) -> list[tuple[slice, ...]]:
    """Cut a region into windows."""
    lines = [
        [slice(a, min(a + edge, stop)) for a in range(start, stop, edge)]
        for (start, stop), edge in zip(region, edges, strict=True)
    ]
    return list(itertools.product(*lines))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tile", [4, 16, 64])
@pytest.mark.parametrize("region", [((0, 150), (0, 61)), ((3, 119), (22, 61))])
def test_the_redundant_share_is_counted_right(
    models: Models, form: str, tile: int, region: tuple[tuple[int, int], ...]
) -> None:
    model, shape = models(form), (150, 61)
    made = plan(model, *shape, tile=tile, region=region)
    tiles = grid(region, made.tile)
    whole = macs(model, shape, grid(region, shape))
    assert made.tiles == len(tiles)
    assert made.redundant == pytest.approx(macs(model, shape, tiles) / whole - 1, abs=1e-9)


def test_the_redundant_share_in_volumes(models: Models) -> None:
    model, shape = models(ndim=3), (21, 30, 17)
    made = plan(model, *shape, tile=8)
    whole, tiles = ([(0, n) for n in shape], made.tile)
    share = macs(model, shape, grid(whole, tiles)) / macs(model, shape, grid(whole, shape)) - 1
    assert made.redundant == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_rows_compute_nothing_twice_where_they_fit(models: Models, form: str, ndim: int) -> None:
    made = plan(models(form, ndim=ndim), *(5000, 900, 40)[-ndim:], memory_gib=64)
    assert (made.way, made.redundant) == ("rows", 0)
    assert made.rows % models(form, ndim=ndim).geometry.step[0] == 0


def test_columns_are_cut_where_a_row_is_too_wide(models: Models) -> None:
    """What is computed twice then are the columns where strips overlap, and no row."""
    model, shape = models(), (3000, 6000)
    wide = plan(model, *shape, memory_gib=64)
    narrow = plan(model, *shape, memory_gib=0.9 * wide.bytes / GIB)
    assert narrow.way == "rows"
    assert narrow.tile[1] < wide.tile[1] == shape[1]
    strips = grid([(0, n) for n in shape], (shape[0], narrow.tile[1]))
    share = (
        macs(model, shape, strips) / macs(model, shape, grid([(0, n) for n in shape], shape)) - 1
    )
    assert narrow.redundant == pytest.approx(share, abs=1e-9)
    assert 0 < narrow.redundant < 0.2


@pytest.mark.parametrize(
    ("settings", "way"),
    [
        ({}, "rows"),
        ({"interactive": True}, "tiles"),
        ({"tile": "rows", "interactive": True}, "rows"),
        ({"tile": 32}, "tiles"),
        ({"outputs": ("classes", "uncertainty")}, "tiles"),
        ({"outputs": ("uncertainty",), "tile": "rows"}, "tiles"),
        ({"outline": ((0, 0), (9, 0), (9, 9))}, "tiles"),
        ({"outputs": ("probabilities", "attention")}, "rows"),
        ({"backend": "openvino"}, "tiles"),
        ({"backend": "torch"}, "rows"),
    ],
    ids=str,
)
def test_when_rows_and_when_tiles(models: Models, settings: dict[str, Any], way: str) -> None:
    assert plan(models("attention"), 300, 200, memory_gib=8, **settings).way == way


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("interactive", [False, True])
def test_memory_is_what_was_allowed(models: Models, ndim: int, interactive: bool) -> None:
    """With less, pieces become smaller, until there are none that fit."""
    model, shape = models(ndim=ndim), ((10**6,), (3000, 4000), (200, 300, 400))[ndim - 1]
    before = plan(model, *shape, memory_gib=64, interactive=interactive)
    budget = before.bytes
    for _ in range(40):
        budget = round(0.7 * budget)
        after = plan_or_refusal(model, *shape, memory_gib=budget / GIB, interactive=interactive)
        if isinstance(after, InputError):
            break
        assert after.bytes <= budget
        assert np.prod(after.tile) <= np.prod(before.tile)
        before = after
    assert isinstance(after, InputError)
    assert after.code == "U161"


def plan_or_refusal(model: Model, *shape: int, **settings: Any) -> Plan | InputError:
    try:
        return plan(model, *shape, **settings)
    except InputError as error:
        return error


@pytest.mark.parametrize("tile", [16, 64, 256])
@pytest.mark.parametrize("form", FORMS)
def test_larger_tiles_take_more_memory_and_less_work(models: Models, form: str, tile: int) -> None:
    smaller = plan(models(form), 2000, 2000, tile=tile, memory_gib=64)
    larger = plan(models(form), 2000, 2000, tile=2 * tile, memory_gib=64)
    assert smaller.bytes < larger.bytes
    assert smaller.redundant > larger.redundant > 0


def test_another_program_computes_the_whole_margin(models: Models) -> None:
    """Its layers do not know what the core of a tile still needs."""
    own = plan(models(), 400, 300, tile=32)
    other = plan(models(), 400, 300, tile=32, backend="openvino")
    assert other.redundant > own.redundant


def test_memory_does_not_grow_with_the_length_of_the_image(models: Models) -> None:
    short, long = (plan(models(), n, 500, memory_gib=8) for n in (10_000, 100_000))
    assert short.bytes == long.bytes
    assert (short.rows, short.tile) == (long.rows, long.tile)


def test_memory_that_is_too_small_is_refused_with_what_would_do(models: Models) -> None:
    for tile in (16, "rows", "auto"):
        with pytest.raises(InputError) as refused:
            plan(models(), 400, 300, tile=tile, memory_gib=1e-5)
        assert refused.value.code == "U161"
        assert re.search(r"tiles of \d+x\d+ pixels need \d+\.\d\d GiB", str(refused.value))
        assert "the limit is 1e-05 GiB" in str(refused.value)
        (enough,) = re.findall(r"set memory_gib to ([\d.]+) or more", refused.value.remedy)
        made = plan(models(), 400, 300, tile=tile, memory_gib=float(enough))
        assert made.bytes <= float(enough) * GIB


def test_whoever_looks_on_gets_tiles_of_whole_chunks(models: Models) -> None:
    """Larger where the margin is wide, never larger than the image."""
    assert plan(models(), 3000, 300, interactive=True, memory_gib=8).tile == (512, 300)
    dense = plan(models("dense"), 4096, 4096, interactive=True, memory_gib=64)
    assert all(edge % 512 == 0 for edge in dense.tile)
    fixed = plan(models("dense"), 4096, 4096, tile=512, memory_gib=64)
    assert dense.redundant <= fixed.redundant


def test_tiles_are_whole_steps_and_not_larger_than_the_image(models: Models) -> None:
    step = models().geometry.step[0]
    assert plan(models(), 100, 61, tile=1).tile == (step, step)
    assert plan(models(), 100, 61, tile=30).tile == (28, 28)
    assert plan(models(), 100, 61, tile=4096).tile == (100, 64)


def test_every_position_of_a_stack_counts(models: Models) -> None:
    one = plan(models(), 100, 80, tile=32)
    many = plan(models(), 3, 5, 100, 80, axes="TZYX", tile=32)
    some = plan(
        models(), 3, 5, 100, 80, axes="TZYX", tile=32, region=((1, 3), (4, 5), (0, 100), (0, 80))
    )
    assert (one.tiles, some.tiles, many.tiles) == (12, 2 * 12, 15 * 12)
    assert one.redundant == many.redundant == some.redundant


@pytest.mark.usefixtures("paced")
def test_only_tiles_that_an_outline_reaches_into_count(models: Models) -> None:
    corner = ((0, 0), (40, 0), (0, 40))
    every = plan(models(), 3, 128, 128, axes="TYX", tile=32, timed=True)
    some = plan(models(), 3, 128, 128, axes="TYX", tile=32, timed=True, outline=corner)
    assert (every.tiles, some.tiles) == (3 * 16, 3 * 3)
    assert some.seconds == pytest.approx(every.seconds * some.tiles / every.tiles)


@pytest.mark.parametrize(
    "more",
    [
        {"outputs": ("uncertainty",)},
        {"outputs": ("loss",)},
        {"outline": ((0, 0), (256, 0), (256, 256))},
    ],
    ids=str,
)
def test_memory_counts_what_is_done_with_a_tile(models: Models, more: dict[str, Any]) -> None:
    plain = plan(models(), 512, 512, tile=256)
    assert plan(models(), 512, 512, tile=256, **more).bytes > plain.bytes + 256**2


def test_rows_that_were_asked_for_are_not_given_up_for_speed(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "available_backends", lambda: ("torch", "openvino"))
    monkeypatch.setattr(planning, "fastest_backend", lambda *_: "openvino")
    monkeypatch.setattr(planning, "MUCH", 0)
    other = plan(models(), 2000, 2000, memory_gib=8)
    assert (other.way, other.backend) == ("tiles", "openvino")
    made = plan(models(), 2000, 2000, tile="rows", memory_gib=8)
    assert (made.way, made.backend) == ("rows", "torch")
    little = plan(models(), 2000, 2000, memory_gib=0.95 * other.bytes / GIB)
    assert little.backend == "torch"  # of its tiles none fits


def test_a_region_beyond_the_image_is_refused(models: Models) -> None:
    with pytest.raises(InputError, match="U150"):
        plan(models(), 100, 80, region=((0, 101), (0, 80)))


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that takes a nanosecond for a multiply-add, always."""
    monkeypatch.setattr(planning, "measure_pace", lambda _runner: 1e-9)


@pytest.mark.usefixtures("paced")
def test_time_follows_from_the_work(models: Models) -> None:
    shape, tiles = (100, 80), grid([(0, 100), (0, 80)], (32, 32))
    made = plan(models(), *shape, tile=32, timed=True)
    assert made.seconds == pytest.approx(1e-9 * macs(models(), shape, tiles))
    stack = plan(models(), 7, *shape, axes="TYX", tile=32, timed=True)
    assert stack.seconds == pytest.approx(7 * made.seconds)
    assert plan(models(), *shape, tile=32).seconds is None


@pytest.mark.usefixtures("paced")
def test_every_pass_takes_its_time(models: Models) -> None:
    """Uncertainty looks at every tile several times."""
    once = plan(models(), 96, 96, tile=32, timed=True).seconds
    turned = plan(models(), 96, 96, tile=32, timed=True, outputs=("uncertainty",)).seconds
    dropped = plan(
        models(), 96, 96, tile=32, timed=True,
        outputs=("uncertainty",), passes="dropout", dropout_passes=5,
    ).seconds  # fmt: skip
    assert turned == pytest.approx(8 * once)
    assert dropped == pytest.approx(5 * once, rel=0.25)  # and once as it is


def test_words_say_what_matters(models: Models) -> None:
    some = Plan(
        "tiles", (512, 256), 32, (96, 96), 0.123, 3 * GIB // 2, 7300.0, 1234, "torch", "float32"
    )
    assert str(some) == (
        "1,234 tiles of 512x256 pixels (margin 96x96), 12% computed twice, 1.50 GiB, about 2.0 h"
    )
    rows = Plan("rows", (512, 61), 32, (96, 96), 0, GIB, None, 1, "openvino", "bfloat16")
    assert str(rows) == (
        "streaming 32 rows at a time into 1 tile of 512x61 pixels (margin 96x96), nothing twice, "
        "1.00 GiB, openvino, bfloat16"
    )
    assert str(replace(rows, rows=1)).startswith("streaming 1 row at a time into 1 tile of")
    for seconds, words in (
        (0.1, "1 s"),
        (89, "89 s"),
        (90, "2 min"),
        (5340, "89 min"),
        (5400, "1.5 h"),
    ):
        timed = Plan("rows", (1,), 1, (0,), 0, 0, seconds, 1, "torch", "float32")
        assert str(timed).endswith(f"about {words}")


def test_a_plan_survives_a_line_of_json(models: Models) -> None:
    made = plan(models(), 100, 80)
    values = json.loads(json.dumps(asdict(made)))
    again = Plan(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
    assert again == made


def test_planning_leaves_the_model_and_all_randomness_alone(models: Models) -> None:
    model = models()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    plan(model, 100, 80, timed=True)
    assert torch.equal(torch.rand(3), expected)
    after = model.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("halvings", [(2, 2, 2), (0, 2, 2), (2, 0, 1)])
def test_tiles_shrink_along_every_axis_until_they_fit(
    models: Models, halvings: tuple[int, ...]
) -> None:
    model, shape = models("unet", ndim=3, halvings=halvings), (20, 40, 30)
    steps = model.geometry.step
    assert steps == tuple(2**n for n in halvings)
    with pytest.raises(InputError, match="U161") as refused:
        plan(model, *shape, interactive=True, memory_gib=1e-6)
    assert f"tiles of {'x'.join(map(str, steps))} pixels" in str(refused.value)
