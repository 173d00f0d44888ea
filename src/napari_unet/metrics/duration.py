"""Time as people say it."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Write a time as people say it: 40 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 1:
        return "under 1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
