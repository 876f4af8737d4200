"""Exit codes: what a script can tell from a finished command without reading its output."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    """It did what was asked."""
    CHECK_FAILED = 1
    """A plan breaks a limit, a condition of `--fail-on` holds, or a plan is not the one that it should be."""
    BAD_INPUT = 2
    """The input is wrong; the message says what, and what to do."""
    INFEASIBLE = 3
    """No plan keeps every limit; the limits that clash are named."""
    OUT_OF_TIME = 4
    """The time limit passed before a plan was found."""
    INTERRUPTED = 130
    """Stopped by SIGINT before it had a result."""
