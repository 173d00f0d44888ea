"""The same jobs from a shell.

Exit status: 0 done, 2 bad input (one line on stderr), 130 interrupted (what was done is kept),
1 a fault of ours (with a traceback, to be reported), 141 nobody reads what is printed.
`--json` prints one document on stdout; words and progress go to stderr.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from napari_unet.cli.commands import engine
from napari_unet.cli.failing import FAULT_OF_OURS, as_input_error, in_one_line, refuse_several
from napari_unet.cli.parser import make_parser
from napari_unet.cli.training import train

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

FAULT, BAD_INPUT, INTERRUPTED, UNHEARD = 1, 2, 130, 141


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    try:
        return _run(sys.argv[1:] if words is None else words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # such as in `napari-unet models list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNHEARD
    except Exception as error:  # noqa: BLE001 - the boundary: told with a code or the traceback
        told = as_input_error(error)
        print(in_one_line(told), file=sys.stderr)
        return FAULT if told.code == FAULT_OF_OURS else BAD_INPUT


def _run(words: Sequence[str]) -> int:
    arguments = make_parser().parse_args(words)
    if arguments.run not in (train, engine):  # a window may open on one of several machines
        refuse_several(words[0])
    arguments.words = words  # a command that was stopped says how to go on
    status = int(arguments.run(arguments) or 0)
    sys.stdout.flush()
    return status
