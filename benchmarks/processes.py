"""Runs of a benchmark, each in a process of its own with one thread, several at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from tables import keep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def start(script: str, words: Sequence[object], name: Mapping[str, str]) -> dict[str, Any]:
    """Run `script` alone, with one thread; return the JSON that it prints.

    A run that fails is `name`, and how it ended.
    """
    command = [sys.executable, script, *map(str, words)]
    environment = {**os.environ, **dict.fromkeys(ONE_THREAD, "1")}
    child = subprocess.run(command, stdout=subprocess.PIPE, env=environment, text=True, check=False)
    if child.returncode == 0:
        return dict(json.loads(child.stdout))
    return {**name, "failed": f"ended with status {child.returncode}"}


def start_all(
    runs: Sequence[Callable[[], dict[str, Any]]], jobs: int, out: Path | None
) -> list[dict[str, Any]]:
    """Do every run, `jobs` at a time; each is written to the results as it ends."""
    done: list[dict[str, Any]] = []
    with ThreadPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(run) for run in runs]):
            done.append(future.result())
            if out:
                keep(out, done[-1])
    return done
