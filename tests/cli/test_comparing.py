"""Several networks from the shell: a table, JSON, and models that are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.inference.model import open_model
from tests.cli.conftest import TINY, everything

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Done

    Cli = Callable[..., Done]


def compare(files: Path, *more: Any) -> list[Any]:
    pair = ["--image", files / "i.tif", "--labels", files / "l.tif"]
    return ["compare", *pair, *TINY, "--epochs", 1, *more]


def test_rows_are_printed_and_models_kept(cli: Cli, files: Path, tmp_path: Path) -> None:
    test = ("--test-image", files / "i.tif", "--test-labels", files / "l.tif")
    words = compare(files, "--architectures", "unet,attention:release", *test)
    done = cli(*words, "--out", tmp_path / "c", "--json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert rows == json.loads((tmp_path / "c/comparison.json").read_text())["rows"]
    assert [row["variant"] for row in rows] == ["standard", "release"]
    assert "attention:release: network 2 of 2" in done.err
    for row in rows:
        model = open_model(tmp_path / "c" / row["model"])
        assert (model.card.model.base, model.card.model.depth) == (2, 1)


def test_the_table_has_a_line_for_each(
    cli: Cli, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli(*compare(files, "--architectures", "unet,residual"))
    assert done.code == 0, done.err
    head, *lines = done.out.splitlines()
    assert {"architecture", "parameters", "dice", "jaccard", "memory_mib"} <= set(head.split())
    assert "object: dice" in head
    assert "object: jaccard" not in head
    assert [line.split()[0] for line in lines] == ["unet", "residual"]
    assert (tmp_path / "comparison/comparison.csv").is_file()
    assert cli(*compare(files, "--architectures", "unet")).code == 0
    assert (tmp_path / "comparison-2/unet/card.json").is_file()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--architectures", "unet,transformer"], "U150"),
        (["--architectures", "attention:wide"], "U150"),
        (["--architectures", ","], "U101"),
        ([], "U170"),
        (["--architectures", "unet", "--test-image", "none.tif"], "U126"),
        (["--architectures", "unet", "--minutes", "1"], "U152"),
        (["--architectures", "unet", "--set", "loss=bce"], "U151"),
        (["--architectures", "unet", "--recipe", "grandmother"], "U150"),
        (["--architectures", "unet", "--set", "device=abacus"], "U160"),
        (["--architectures", "unet", "--image", "i.npy", "--labels", "l.npy"], "U102"),
    ],
)
def test_bad_words_are_refused_and_nothing_is_written(
    cli: Cli, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str],
    code: str,
) -> None:  # fmt: skip
    for name, size in (("i.npy", 20), ("l.npy", 21)):
        np.save(tmp_path / name, np.eye(size, dtype=np.uint8))
    before = everything(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = cli(*compare(files, "--out", tmp_path / "c", *more))
    (line,) = done.err.splitlines()
    assert (done.code, done.out, line[:5]) == (2, "", f"{code}:")
    assert everything(tmp_path) == before
