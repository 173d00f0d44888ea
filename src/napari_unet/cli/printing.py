"""What `--json` prints."""

from __future__ import annotations

import json
from typing import Any


def print_json(value: Any, indent: int | None = None) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(value, indent=indent, allow_nan=False))
