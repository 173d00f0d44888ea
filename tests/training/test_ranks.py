"""Two processes learn what one learns, and end together whatever ends one of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
import torch
from torch import distributed as dist
from torch import nn

from napari_unet.config import InputError
from napari_unet.inference.model import open_model
from napari_unet.library.checkpoints import load_checkpoint
from napari_unet.library.folders import WEIGHTS, read_card, read_tensors
from napari_unet.training.loop import train
from napari_unet.training.ranks import ALONE, Ranks, joined
from tests.training.together import PAIRS, RUNS, settings, story

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = (
    sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m",
)  # fmt: skip
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
    pytest.mark.skipif(not dist.is_gloo_available(), reason="a torch without gloo"),
]
LONG = 240  # seconds, on a busy machine


def launch(*words: object) -> subprocess.Popen[str]:
    """Start a module in two processes, as a user does."""
    line = [*LAUNCH, *map(str, words)]
    return subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def parameters(folder: Path) -> dict[str, np.ndarray]:
    return read_tensors(folder, WEIGHTS, read_card(folder))


def last(folder: Path) -> dict[str, np.ndarray]:
    """Return the parameters of the newest checkpoint."""
    arrays, _ = load_checkpoint(folder)
    return {k: v for k, v in arrays.items() if k.startswith("parameters.")}


def far(some: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> float:
    """Return the largest difference of parameters."""
    return max(float(np.abs(some[name] - others[name]).max()) for name in some)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have made of all runs, and what each of them saw."""
    folder = tmp_path_factory.mktemp("together")
    with launch("tests.training.together", folder) as child:
        _, words = child.communicate(timeout=LONG)
    assert child.returncode == 0, words
    return folder


def seen(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(folder.joinpath(f"rank-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("name", [n for n in RUNS if n not in ("short", "normalised")])
def test_two_processes_learn_what_one_learns(together: Path, tmp_path: Path, name: str) -> None:
    alone = story(name, tmp_path, ALONE)
    assert far(last(tmp_path / name), last(together / name)) < 1e-5
    np.testing.assert_allclose(seen(together)[0][name], alone, rtol=1e-4)


def test_all_processes_see_the_same_and_end_at_the_same_step(together: Path) -> None:
    first, second = seen(together)
    assert first == second
    assert first["any"] == [[True, False]]
    assert first["agree"] == [[7.0]]
    steps = first["short"][-1][0]
    assert steps == read_card(together / "short").training["steps"] >= 1


def test_several_processes_make_one_model_that_says_so(together: Path) -> None:
    card = open_model(together / "normalised").card
    notes = " ".join(card.training["notes"])
    assert "2 processes share each batch of 5 patches" in notes
    assert "batch normalisation" in notes
    assert "batch normalisation" not in " ".join(read_card(together / "clipped").training["notes"])


@pytest.fixture
def running(tmp_path: Path) -> Callable[[], subprocess.Popen[str]]:
    """Start a long training from the shell; returns when it has saved its first checkpoint."""
    for name, array in zip(("i", "l"), PAIRS[0], strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    stored = settings("clipped").model_copy(update={"epochs": 10_000})
    (tmp_path / "c.json").write_text(stored.model_dump_json())

    def start() -> subprocess.Popen[str]:
        pair = ("--image", tmp_path / "i.npy", "--labels", tmp_path / "l.npy")
        config = ("--config", tmp_path / "c.json", "--out", tmp_path / "m")
        child = launch("napari_unet", "train", *pair, *config)
        assert any(line.startswith("epoch 3") for line in child.stderr)
        return child

    return start


def finish(tmp_path: Path) -> float:
    """Go on alone for two epochs; return how far that is from a run that was always alone.

    The rate of the run is constant: a schedule would know how long it was meant to be.
    """
    step = load_checkpoint(tmp_path / "m")[1]["step"]
    config = settings("clipped").model_copy(update={"epochs": step // 4 + 2})
    pair = [(tmp_path / "i.npy", tmp_path / "l.npy")]
    list(train(config, pair, tmp_path / "m", resume=True))
    list(train(config, pair, tmp_path / "alone"))
    return far(last(tmp_path / "m"), last(tmp_path / "alone"))


def test_a_signal_stops_all_processes_and_one_goes_on(
    tmp_path: Path, running: Callable[[], subprocess.Popen[str]]
) -> None:
    with running() as child:
        workers = psutil.Process(child.pid).children(recursive=True)
        child.send_signal(signal.SIGINT)
        _, words = child.communicate(timeout=LONG)
    assert words.count("stopped: what was learned is kept") == 1
    assert not any(worker.is_running() for worker in workers)
    assert open_model(tmp_path / "m").card.training["steps"] >= 4
    assert finish(tmp_path) < 1e-4


def test_a_process_that_is_killed_ends_all_and_the_checkpoint_is_whole(
    tmp_path: Path, running: Callable[[], subprocess.Popen[str]]
) -> None:
    with running() as child:
        workers = psutil.Process(child.pid).children(recursive=True)
        second = next(w for w in workers if w.environ().get("RANK") == "1")
        second.kill()
        _, words = child.communicate(timeout=LONG)
    assert child.returncode != 0
    assert "U164: another of the 2 processes has ended" in words
    assert not any(worker.is_running() for worker in workers)
    if (tmp_path / "m/card.json").exists():  # noticed between two steps: what it learned is kept
        assert open_model(tmp_path / "m").card.training["steps"] >= 4
    assert finish(tmp_path) < 1e-4


def test_alone_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    network = nn.Conv2d(1, 1, 1)
    with joined() as ranks:
        assert ranks is ALONE
    assert ranks.first
    assert ranks.divide(network, 1) is network
    assert ranks.unite(network, torch.device("cuda")) is network
    assert ranks.agree(0.1) == 0.1
    assert [ranks.any(flag) for flag in (True, False)] == [True, False]
    assert [ranks.name(name) for name in ("auto", "cuda", "cpu")] == ["auto", "cuda", "cpu"]


def test_each_process_must_have_something_to_do() -> None:
    with pytest.raises(InputError, match="4 processes share a batch of 3 patches") as caught:
        Ranks(1, 4).divide(nn.Conv2d(1, 1, 1), 3)
    assert caught.value.code == "U151"


def test_each_process_has_a_card_of_its_own() -> None:
    ranks = Ranks(rank=5, world=8, local=1)
    assert ranks.name("cuda") == "cuda:1"
    assert ranks.name("cpu") == "cpu"
    with pytest.raises(InputError, match="8 processes cannot share device 'cuda:3'"):
        ranks.name("cuda:3")
    assert ranks.name("auto") == ("cuda:1" if torch.cuda.is_available() else "cpu")


def test_graphics_cards_normalise_over_the_whole_batch() -> None:
    united = Ranks(0, 2).unite(nn.Sequential(nn.BatchNorm2d(1)), torch.device("cuda"))
    assert isinstance(united[0], nn.SyncBatchNorm)
