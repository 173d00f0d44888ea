"""A step is that of the whole batch, however it is computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_unet.config import LOSSES, REGRESSION, InputError, TrainConfig
from napari_unet.events import Noted, Stepped
from napari_unet.library.checkpoints import load_checkpoint
from napari_unet.library.folders import read_card
from napari_unet.models import precision
from napari_unet.models.precision import learning_dtype
from napari_unet.models.registry import build
from napari_unet.training.loop import prepare, train
from napari_unet.training.losses import make_loss
from napari_unet.training.optimisers import make_optimiser
from napari_unet.training.patches import Batch
from napari_unet.training.step import Descent
from tests.training.test_loop import SMALL, disks, last, settings

if TYPE_CHECKING:
    from pathlib import Path

CPU = torch.device("cpu")


def config_for(loss: str, **changes: Any) -> TrainConfig:
    model = {"base": 2, "depth": 1, "norm": "none", "classes": 1 if loss == "bce" else 2}
    labels = {"kind": "regression"} if loss in REGRESSION else {}
    changes = {"model": model, "labels": labels, "loss": loss, "precision": "float32", **changes}
    return TrainConfig.from_recipe("quick", **changes)


def descent_for(config: TrainConfig, dtype: torch.dtype = torch.float64) -> Descent:
    torch.manual_seed(0)
    network = build(config.model).to(dtype)
    optimiser = make_optimiser(network, config.optimiser)
    return Descent(network, network, make_loss(config), optimiser, config, most_pieces=5)


def batch_for(config: TrainConfig, dtype: torch.dtype = torch.float64) -> Batch:
    """Five images, of which each has another share of labelled pixels."""
    rng = torch.Generator().manual_seed(1)
    image = torch.randn(5, 1, 12, 12, generator=rng, dtype=dtype)
    weights = torch.rand(5, 12, 12, generator=rng, dtype=dtype)
    weights *= weights > torch.linspace(0, 0.9, 5).view(5, 1, 1)
    values = config.labels.kind == "regression"
    truth = image.repeat(1, 2, 1, 1) if values else (image[:, 0] > 0.5).long()
    return Batch(image, truth, weights)


def gradient(descent: Descent) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in descent.network.parameters()])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("pieces", [2, 3, 5])
def test_the_gradient_of_the_pieces_is_that_of_the_whole(loss: str, pieces: int) -> None:
    config = config_for(loss)
    batch = batch_for(config)
    whole, parts = descent_for(config), descent_for(config)
    parts.pieces = pieces
    values = [float(each.differentiate(batch, 7).detach()) for each in (whole, parts)]
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert gradient(whole).abs().max() > 0
    torch.testing.assert_close(gradient(parts), gradient(whole), rtol=1e-9, atol=1e-12)


def test_both_passes_over_a_piece_leave_out_the_same() -> None:
    config = config_for("dice", model={"base": 2, "depth": 1, "dropout": 0.5})
    descent, batch = descent_for(config), batch_for(config)
    descent.pieces = 5
    loss = descent.differentiate(batch, 7)
    logits = torch.cat([descent.forward(x, 7 + i) for i, x in enumerate(batch.image.split(1))])
    again = descent.loss(logits, batch.truth, batch.weights)
    parameters = list(descent.network.parameters())
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(again, parameters)])
    assert again.item() == loss.item()
    torch.testing.assert_close(gradient(descent), expected, rtol=1e-9, atol=1e-12)
    assert not torch.equal(descent.forward(batch.image, 7), descent.forward(batch.image, 8))


class ShortOfMemory(torch.nn.Module):
    """Refuses more than a few images at a time."""

    def __init__(self, network: torch.nn.Module, most: int, error: BaseException) -> None:
        super().__init__()
        self.network, self.most, self.error, self.asked = network, most, error, []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.asked.append(len(image))
        if len(image) > self.most:
            raise self.error
        return self.network(image)


NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("MPS backend out of memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda e: type(e).__name__)
def test_short_of_memory_the_same_step_is_taken_in_pieces(error: BaseException) -> None:
    config = config_for("cross_entropy_dice")
    whole, short = descent_for(config), descent_for(config)
    short.network = short.compute = ShortOfMemory(short.network, 2, error)
    batch = batch_for(config)
    assert short.take(batch, 7) == pytest.approx(whole.take(batch, 7), rel=1e-12)
    for found, expected in zip(short.network.parameters(), whole.network.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert short.pieces == 4
    assert [note.split(":")[0] for note in short.notes] == ["out of memory"] * 2
    short.network.asked.clear()
    short.take(batch, 8)
    assert max(short.network.asked) == 2  # it is not tried again


@pytest.mark.parametrize(
    ("error", "pieces"),
    [(MemoryError("of one patch"), 5), (RuntimeError("shapes differ"), 1)],
    ids=["one patch alone is too large", "no lack of memory"],
)
def test_what_pieces_do_not_cure_is_told(error: Exception, pieces: int) -> None:
    config = config_for("dice")
    descent = descent_for(config)
    descent.network = descent.compute = ShortOfMemory(descent.network, 0, error)
    with pytest.raises(type(error), match=str(error)):
        descent.take(batch_for(config), 7)
    assert descent.pieces == pieces


def test_a_run_that_is_short_of_memory_says_so_and_goes_on_in_pieces(tmp_path: Path) -> None:
    def refuse(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > 1 and torch.is_grad_enabled() and layer.training:
            raise torch.OutOfMemoryError("CUDA out of memory")

    handle = torch.nn.modules.module.register_module_forward_pre_hook(refuse)
    try:
        stream = train(settings(), disks(), tmp_path / "m")
        events = []
        for event in stream:
            events.append(event)
            if isinstance(event, Stepped) and event.step == 2:
                break
        stream.close()
    finally:
        handle.remove()
    notes = [e.text for e in events if isinstance(e, Noted) and "out of memory" in e.text]
    assert notes == [
        "out of memory: batches of 2 are computed in 2 pieces, which takes a third longer; the "
        "gradient is that of the whole batch, but batch norm sees a piece at a time"
    ]
    _, state = load_checkpoint(tmp_path / "m")
    assert state["descent"]["pieces"] == 2
    run, _ = prepare(settings(), disks(), tmp_path / "m", resume=True)
    assert run.descent.pieces == 2


@pytest.mark.parametrize("changes", [{"precision": "bfloat16"}, {"accumulate": 2}], ids=str)
def test_a_run_in_half_precision_or_in_pieces_goes_on_to_the_same_bits(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    list(train(settings(2, **changes), disks(), tmp_path / "whole"))
    stream = train(settings(2, **changes), disks(), tmp_path / "parts")
    for event in stream:
        if isinstance(event, Stepped) and event.step == 2:
            break
    stream.close()
    list(train(settings(2, **changes), disks(), tmp_path / "parts", resume=True))
    assert last(tmp_path / "parts") == last(tmp_path / "whole")
    list(train(settings(2, precision="float32"), disks(), tmp_path / "plain"))
    assert last(tmp_path / "plain") != last(tmp_path / "whole")  # so the setting reached the step


def test_half_precision_learns(tmp_path: Path) -> None:
    config = settings(
        16, precision="bfloat16", model={"base": 4, "depth": 1, "norm": "batch"}, batch=4, patch=24
    )
    list(train(config, disks(), tmp_path / "m"))
    assert read_card(tmp_path / "m").training["best"]["dice"] > 0.6


def halved(monkeypatch: pytest.MonkeyPatch) -> Descent:
    """Float16 on a CPU, which is refused elsewhere because it is slow."""
    monkeypatch.setattr("napari_unet.training.step.learning_dtype", lambda *_, **__: torch.float16)
    return descent_for(config_for("cross_entropy"), torch.float32)


def test_a_gradient_that_float16_cannot_hold_leaves_the_step_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    descent = halved(monkeypatch)
    batch = batch_for(config_for("cross_entropy"), torch.float32)
    descent.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = [p.clone() for p in descent.network.parameters()]
    assert math.isfinite(descent.take(batch, 7))
    assert all(map(torch.equal, before, descent.network.parameters()))
    assert descent.scaler.get_scale() == 2.0**39
    for _ in range(40):
        descent.take(batch, 7)
    assert not all(map(torch.equal, before, descent.network.parameters()))


def test_the_scale_of_float16_is_in_the_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    descent = halved(monkeypatch)
    batch = batch_for(config_for("cross_entropy"), torch.float32)
    descent.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    descent.take(batch, 7)
    descent.pieces = 3
    other = halved(monkeypatch)
    other.restore(descent.state())
    assert other.state() == descent.state()
    assert other.scaler.get_scale() == 2.0**39


def test_the_norm_that_is_clipped_is_that_of_the_gradient_not_of_its_scale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    descent = halved(monkeypatch)
    descent.clip = 1e-3
    descent.take(batch_for(config_for("cross_entropy"), torch.float32), 7)
    assert gradient(descent).norm() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("instructions", ["avx2", "avx512_bf16", "amx_bf16", "sve_bf16"])
def test_of_itself_a_cpu_learns_in_half_only_labels_and_with_the_instructions(
    instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_capabilities", lambda: {instructions: True})
    halved = instructions in {"avx512_bf16", "amx_bf16"}
    expected = torch.bfloat16 if halved else torch.float32
    assert learning_dtype(CPU, "auto", values=False) == expected
    assert learning_dtype(CPU, "auto", values=True) == torch.float32
    for values in (False, True):
        assert learning_dtype(CPU, "float32", values=values) == torch.float32
        assert learning_dtype(CPU, "bfloat16", values=values) == torch.bfloat16
        with pytest.raises(InputError, match="U160"):
            learning_dtype(CPU, "float16", values=values)


def test_the_card_says_in_which_numbers_it_learned(tmp_path: Path) -> None:
    for name in ("float32", "bfloat16"):
        list(train(settings(1, precision=name), disks(), tmp_path / name))
        assert read_card(tmp_path / name).training["precision"] == name
        methods = (tmp_path / name / "METHODS.md").read_text("utf-8")
        assert ("mixed precision (bfloat16)" in methods) == (name == "bfloat16")


def test_pieces_are_never_too_small_for_batch_norm(tmp_path: Path) -> None:
    small = {**SMALL, "model": {"base": 2, "depth": 3, "norm": "batch"}, "patch": 8, "batch": 4}
    config = TrainConfig.from_recipe("quick", **small, epochs=1, accumulate=4)
    run, _ = prepare(config, disks(), tmp_path / "m")
    assert run.sampler.sizes[0] == (8, 8)  # one pixel at the bottom
    assert run.descent.pieces == 2
    assert np.isfinite(run.take_step().loss)
