"""The two ways in which a run can go wrong, and their exit codes."""

import signal
import sys

EXIT_FAILED = 1
EXIT_CANNOT_RUN = 2
OLDEST_PYTHON = (3, 11)


class CheckFailed(Exception):
    """The program under test does not do what it should."""


class CannotRun(Exception):
    """The check could not be made: something is missing on this machine, or a process failed to start."""


def expect_equal(what, actual, expected):
    if actual != expected:
        raise CheckFailed(f"{what}: expected {expected!r}, got {actual!r}")


def run_main(main):
    """Ends the process with the exit code that `main` returns, or with the one of its exception."""
    # Raised as an exception, so that `finally` blocks stop the processes that were started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise CannotRun(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or later is required")
        sys.exit(main())
    except CannotRun as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CANNOT_RUN)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
