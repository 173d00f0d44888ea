"""What all tests share: a home of their own, and the real images, where they are at hand."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import napari_unet  # noqa: F401 - before torch, whose threads then sleep while they wait

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).resolve().parents[1] / "../shared/data"


def pytest_collection_finish() -> None:
    """Leave what is imported out of every search for garbage: it is most of all there is."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real images (see its README), or a skip."""
    if not DATA.is_dir():
        pytest.skip(f"no real images at {DATA}")
    return DATA.resolve()


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave what is the user's alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_UNET_HOME", str(tmp_path_factory.mktemp("home")))
        yield
