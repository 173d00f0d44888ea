"""The same jobs from a shell.

Exit status: 0 done, 2 bad input (one line on stderr), 130 interrupted (what was done is kept),
1 a fault of ours (with a traceback, to be reported), 141 nobody reads what is printed.
`--json` prints one document on stdout; words and progress go to stderr.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_unet.cli.parser import make_parser
from napari_unet.config import InputError, explain

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

FAULT, BAD_INPUT, INTERRUPTED, UNHEARD = 1, 2, 130, 141


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    try:
        return _run(words)
    except InputError as error:
        return _refuse(error)
    except ValidationError as error:
        return _refuse(explain(error))
    except MemoryError:
        return _refuse(InputError("U161", "out of memory", "close other programs"))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # such as in `napari-unet models list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNHEARD
    except Exception as error:  # noqa: BLE001 - the boundary: told with the traceback
        traceback.print_exc()
        _refuse(InputError("U001", f"{type(error).__name__}: {error}", "report it with the above"))
        return FAULT


def _run(words: Sequence[str] | None) -> int:
    arguments = make_parser().parse_args(words)
    status = int(arguments.run(arguments) or 0)
    sys.stdout.flush()
    return status


def _refuse(error: InputError) -> int:
    print(" ".join(str(error).split()), file=sys.stderr)
    return BAD_INPUT
