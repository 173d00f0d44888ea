"""What all tests share: the real images, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[1] / "../shared/data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real images (see its README), or a skip."""
    if not DATA.is_dir():
        pytest.skip(f"no real images at {DATA}")
    return DATA.resolve()
