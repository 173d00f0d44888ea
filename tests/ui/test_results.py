"""How results are shown."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.ui.results import span


@pytest.mark.parametrize(
    ("values", "expected"), [((0.9, 0.95), (0.9, 0.95)), ((0.5, 0.5), (0.0, 1.0))]
)
def test_contrast_limits_are_never_empty(values: tuple[float, ...], expected: object) -> None:
    assert span(np.array(values)) == expected
