"""Times are said as people say them."""

from __future__ import annotations

import pytest

from napari_unet.metrics.duration import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "under 1 s"),
        (59.4, "59 s"),
        (200, "3 min 20 s"),
        (1500, "25 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_time_as_people_say_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words
