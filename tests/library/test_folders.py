"""A model folder is what its card vouches for, or it is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.config import ModelConfig, ModelFileError
from napari_unet.library.card import Card, ClassCard, GeometryCard
from napari_unet.library.checkpoints import save_checkpoint
from napari_unet.library.folders import (
    card_checksum,
    list_models,
    read_card,
    read_tensors,
    remove_model,
    to_tensors,
    verify,
    write_model,
)

if TYPE_CHECKING:
    from pathlib import Path


def make(folder: Path, name: str = "cells") -> Card:
    """A model folder with one small array."""
    card = Card(
        name=name,
        model=ModelConfig(base=2, depth=1),
        geometry=GeometryCard(step=(2, 2), margin=(6, 6), lost=(0, 0), smallest=(2, 2)),
        axes="CYX",
        normalisation="percentile",
        kind="instances",
        classes=(ClassCard(name="background", value=0), ClassCard(name="object", value=1)),
    )
    files = {
        "weights.safetensors": to_tensors({"a": np.arange(6, dtype=np.float32)}),
        "config.json": b"{}",
        "history.csv": b"",
    }
    return write_model(folder, card, files)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    card = make(tmp_path / "m")
    assert verify(tmp_path / "m") == card
    tensors = read_tensors(tmp_path / "m", "weights.safetensors", card)
    np.testing.assert_array_equal(tensors["a"], np.arange(6, dtype=np.float32))


def test_equal_arrays_give_equal_bytes() -> None:
    one, two = np.ones((3, 4), np.float32), np.zeros(2, np.int64)
    assert to_tensors({"x": one, "y": two}) == to_tensors({"y": two, "x": one})


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json"])
def test_every_flipped_byte_is_noticed(tmp_path: Path, name: str) -> None:
    make(tmp_path / "m")
    path = tmp_path / "m" / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ModelFileError, match=r"U141.*SHA-256"):
            verify(tmp_path / "m")
    path.write_bytes(whole)
    verify(tmp_path / "m")


def test_a_flipped_bit_of_the_card_is_noticed(tmp_path: Path) -> None:
    make(tmp_path / "m")
    path = tmp_path / "m" / "card.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ModelFileError, match="U141"):
            read_card(tmp_path / "m")


@pytest.mark.parametrize("harm", ["missing", "truncated", "empty"])
def test_a_harmed_file_is_refused(tmp_path: Path, harm: str) -> None:
    make(tmp_path / "m")
    path = tmp_path / "m" / "weights.safetensors"
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 20 * (harm == "truncated")])
    with pytest.raises(ModelFileError, match="U141"):
        verify(tmp_path / "m")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "U141"),
        (b"<html>not found</html>", "U141"),
        (b"[]", "U141"),
        (b'{"format": 1}', "U141"),
        (b'{"format": 99}', "U145"),
    ],
)
def test_a_strange_card_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    make(tmp_path / "m")
    (tmp_path / "m" / "card.json").write_bytes(content)
    with pytest.raises(ModelFileError, match=code):
        read_card(tmp_path / "m")


def test_a_card_cannot_point_outside(tmp_path: Path) -> None:
    make(tmp_path / "m")
    (tmp_path / "secret").write_bytes(b"x")
    path = tmp_path / "m" / "card.json"
    card = json.loads(path.read_text())
    card["files"]["../secret"] = "0" * 64
    card["checksum"] = card_checksum(card)
    path.write_text(json.dumps(card))
    with pytest.raises(ModelFileError, match="no plain file name"):
        verify(tmp_path / "m")


def test_what_is_no_model_is_refused_and_not_removed(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for action in (read_card, verify, remove_model):
        with pytest.raises(ModelFileError, match="U140"):
            action(tmp_path / "x")
    assert (tmp_path / "x").is_dir()


def test_only_the_files_of_a_model_are_removed(tmp_path: Path) -> None:
    make(tmp_path / "m")
    save_checkpoint(tmp_path / "m", 1, {"a": np.zeros(1)}, {})
    (tmp_path / "m" / "thesis.txt").write_text("mine")
    assert not remove_model(tmp_path / "m")
    assert [p.name for p in (tmp_path / "m").iterdir()] == ["thesis.txt"]
    make(tmp_path / "n")
    save_checkpoint(tmp_path / "n", 1, {"a": np.zeros(1)}, {})
    assert remove_model(tmp_path / "n")
    assert not (tmp_path / "n").exists()


def test_the_models_of_a_comparison_are_models_like_others(tmp_path: Path) -> None:
    make(tmp_path / "plain", "plain")
    for name in ("unet", "attention"):
        make(tmp_path / "comparison" / name, name)
    (tmp_path / "comparison" / "comparison.json").write_text("{}")
    make(tmp_path / "comparison" / ".hidden", "hidden")
    make(tmp_path / "a" / "b" / "deeper", "deeper")
    names = {"plain", "unet", "attention"}
    assert {card.name for _, card in list_models(tmp_path)} == names
    assert {card.name for _, card in list_models(tmp_path / "comparison")} == names - {"plain"}
    for name in ("unet", "attention"):
        assert remove_model(tmp_path / "comparison" / name)
    assert [card.name for _, card in list_models(tmp_path)] == ["plain"]
    assert [p.name for p in (tmp_path / "comparison").glob("[!.]*")] == ["comparison.json"]


def test_listing_leaves_out_what_is_damaged(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        make(tmp_path / name, name)
    (tmp_path / "two" / "card.json").write_text("{")
    assert {card.name for _, card in list_models(tmp_path)} == {"one", "three"}
    remove_model(tmp_path / "one")
    assert [card.name for _, card in list_models(tmp_path)] == ["three"]
