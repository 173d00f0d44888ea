"""The same jobs from a shell.

Exit status: 0 done, 2 bad input (one line on stderr), 130 interrupted (what was done is kept),
1 a fault of ours. `--json` prints one document on stdout; words and progress go to stderr.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_unet.cli.parser import make_parser
from napari_unet.config import InputError, explain

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

BAD_INPUT, INTERRUPTED = 2, 130


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    try:
        arguments = make_parser().parse_args(words)
        return int(arguments.run(arguments) or 0)
    except InputError as error:
        return _refuse(error)
    except ValidationError as error:
        return _refuse(explain(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def _refuse(error: InputError) -> int:
    print(" ".join(str(error).split()), file=sys.stderr)
    return BAD_INPUT
