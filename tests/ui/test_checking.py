"""What a check found is told so that a user knows whether to worry."""

from __future__ import annotations

from typing import Any

import pytest

from napari_unet.ui.checking import judge

FOUND = {"largest": 2e-6, "spread": 2.0, "changed": 0, "pixels": 65536, "lead": [3],
         "window": [[0, 256], [100, 356]]}  # fmt: skip


def test_rounding_is_no_worry() -> None:
    verdict = judge(FOUND)
    assert not verdict.doubtful
    assert "at most 1e-06 of the spread" in verdict.words
    assert "no pixel changes (looked at 3, 0 to 255, 100 to 355)" in verdict.words


@pytest.mark.parametrize("changes", [{"largest": 0.5, "changed": 12}, {"largest": float("nan")}])
def test_a_seam_is(changes: dict[str, Any]) -> None:
    verdict = judge(FOUND | changes)
    assert verdict.doubtful
    if "changed" in changes:
        assert "12 of 65,536 pixels change" in verdict.words


def test_an_image_without_contrast_is_judged() -> None:
    assert not judge(FOUND | {"largest": 0.0, "spread": 0.0}).doubtful
