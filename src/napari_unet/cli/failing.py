"""Any error as one line: a code, what happened, what to do."""

from __future__ import annotations

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


def in_one_line(error: InputError) -> str:
    """Write an error without line breaks."""
    return " ".join(str(error).split())
