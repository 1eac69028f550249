"""Counts results and prints the last line that all runners share."""

from common.errors import EXIT_FAILED


class Report:
    """The number of checks that passed and failed."""

    def __init__(self):
        self.passed = self.failed = 0

    @property
    def rows(self):
        return self.passed + self.failed

    def passes(self, line):
        self.passed += 1
        print(line, flush=True)

    def fails(self, line, details=""):
        self.failed += 1
        print(line, flush=True)
        if details:
            print(details, flush=True)

    def finish(self):
        """Prints "N passed, N failed" and returns the exit code."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return EXIT_FAILED if self.failed else 0
