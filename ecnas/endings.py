"""How programs report errors of their users: by one line and an exit code, never by a traceback."""

from __future__ import annotations

import os
import sys
from typing import Final

from ecnas.errors import EXTRAS, ECNASError, MissingExtraError

USER_ERROR: Final = 2
INTERRUPTED: Final = 130


def ending_of(error: BaseException, program: str) -> int:
    """Prints the error that ended a program, unless it should end quietly.

    Args:
        error: The error.
        program: The program's name, at the start of the line.

    Returns:
        The exit code: 0 when the reader of the output, such as ``head``, has closed the pipe.

    Raises:
        BaseException: The error, if it is not the user's.
    """
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere
        return 0
    if isinstance(error, KeyboardInterrupt):
        print(file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, ImportError) and not isinstance(error, ECNASError):
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise error
        error = MissingExtraError(package)
    if not isinstance(error, (ECNASError, ValueError, OSError)):
        raise error
    print(f"{program}: {error}", file=sys.stderr)
    return USER_ERROR
