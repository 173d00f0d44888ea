"""What the user is told when something cannot be done: one family, a code, one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(ValueError):
    """Input that cannot be used, told with the numbers and the remedy.

    Parameters
    ----------
    code : str
        A stable code such as ``"U102"``; see the table in ``docs/reference/errors.md``.
    what : str
        What happened, with the numbers and the name of the layer or file.
    remedy : str
        What the user can do about it.
    """

    def __init__(self, code: str, what: str, remedy: str) -> None:
        super().__init__(f"{code}: {what}: {remedy}")
        self.code = code
        self.what = what
        self.remedy = remedy


class ModelFileError(InputError):
    """A model folder that is missing, damaged, altered or too new (codes U140 to U149)."""


class StorageError(InputError):
    """A place that cannot be written, or is full (codes U130 to U139)."""


def explain(error: ValidationError) -> InputError:
    """Say in one line what a pydantic validation found wrong: the first field, and the remedy."""
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause
    # pydantic adds which branch of a union failed, such as "constrained-int": no name of a field
    names = [part for part in first["loc"] if isinstance(part, int) or part.isidentifier()]
    field = ".".join(map(str, names))
    if first["type"] == "extra_forbidden":
        return InputError("U150", f"there is no setting {field!r}", "check its spelling")
    message = first["msg"][0].lower() + first["msg"][1:]
    return InputError("U150", f"{field} = {first['input']!r}", message)
