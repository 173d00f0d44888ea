"""Any error as one line: a code, what happened, what to do."""

from __future__ import annotations

import os
import traceback

from pydantic import ValidationError

from napari_unet.config import InputError, explain

FAULT_OF_OURS = "U001"


def as_input_error(error: Exception) -> InputError:
    """Say of any error what happened and what to do.

    One that nobody foresaw is a fault of ours, U001: its traceback goes to stderr.
    """
    if isinstance(error, InputError):
        return error
    if isinstance(error, ValidationError):
        return explain(error)
    if isinstance(error, MemoryError):
        return InputError("U161", "out of memory", "close other programs")
    traceback.print_exception(error)
    return InputError(FAULT_OF_OURS, f"{type(error).__name__}: {error}", "report it with the above")


def refuse_several(what: str) -> None:
    """Raise InputError U165 where `torchrun` started several processes: each would do it all."""
    if "WORLD_SIZE" not in os.environ:
        return
    from napari_unet.training.ranks import count_processes

    if (count := count_processes()) > 1:
        told = f"each of {count} processes that torchrun started would {what} by itself"
        raise InputError("U165", told, "start it once, without torchrun (WORLD_SIZE=1)")


def in_one_line(error: InputError) -> str:
    """Write an error without line breaks."""
    return " ".join(str(error).split())
