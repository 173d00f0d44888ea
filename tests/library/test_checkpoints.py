"""Checkpoints come back as they were, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.library.checkpoints import load_checkpoint, read_state, save_checkpoint

if TYPE_CHECKING:
    from pathlib import Path


def arrays(step: int) -> dict[str, np.ndarray]:
    return {"w": np.full((3, 4), step, np.float32), "n": np.asarray(step)}


def test_round_trip(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 7, arrays(7), {"step": 7, "losses": [0.5, 0.25]})
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found[1] == {"step": 7, "losses": [0.5, 0.25]}
    assert set(found[0]) == {"w", "n"}
    np.testing.assert_array_equal(found[0]["w"], arrays(7)["w"])
    assert found[0]["n"].shape == ()


def test_the_state_alone_is_that_of_the_newest_that_can_be_read(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    for step in (1, 2):
        newest = save_checkpoint(tmp_path, step, arrays(step), {"step": step})
    assert read_state(tmp_path) == {"step": 2}
    newest.write_bytes(newest.read_bytes()[:40])
    assert read_state(tmp_path) == {"step": 1}


def test_two_are_kept(tmp_path: Path) -> None:
    for step in range(5):
        save_checkpoint(tmp_path, step, arrays(step), {"step": step})
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    assert load_checkpoint(tmp_path)[1]["step"] == 4


@pytest.mark.parametrize("harm", ["truncate", "flip", "empty"])
def test_a_damaged_one_is_passed_over(tmp_path: Path, harm: str) -> None:
    save_checkpoint(tmp_path, 1, arrays(1), {"step": 1})
    newest = save_checkpoint(tmp_path, 2, arrays(2), {"step": 2})
    content = bytearray(newest.read_bytes())
    if harm == "flip":
        content[-3] ^= 1
    newest.write_bytes(
        content if harm == "flip" else content[: len(content) // 2 * (harm != "empty")]
    )
    assert load_checkpoint(tmp_path)[1]["step"] == 1


def test_none_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
