"""Why a process ended is said in words."""

from __future__ import annotations

import sys

import pytest

from napari_unet.ui.child import last_words


@pytest.mark.parametrize(
    ("code", "crashed", "words"),
    [
        (1, False, "ended by itself with code 1 (ImportError: no torch)"),
        (11, True, "crashed (signal 11)"),
        (15, True, "ended by the system or by another program"),
    ],
)
def test_last_words(code: int, crashed: bool, words: str) -> None:
    assert words in last_words(code, "Traceback\nImportError: no torch\n\n", crashed)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_kill_is_probably_a_lack_of_memory() -> None:
    assert "killed: probably out of memory" in last_words(9, "", crashed=True)
