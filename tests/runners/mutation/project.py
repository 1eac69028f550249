"""A copy of the repository that is mutated, built and tested."""

import contextlib
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

from common.paths import ROOT, target_folder
from common.process import run_checked, run_limited
from mutation.output import compiler_error, failed_tests, find_test_program, has_passed, listed_mutations

TEST_SECONDS = 600
FILTERS_OF_SCHEMA = ("attacks::role", "attacks::single_policy", "isolation::queries", "schema::isolation_checks")
FILTERS_OF_QUERIES = ("isolation::filters",)
# A test that prints the statements of the kind `schema`.
LIST_TEST = "list_of_mutations"
MINIMUM_SCHEMA = 120
MINIMUM_QUERIES = 80
# The tests need the feature test-util.
BUILD = ["cargo", "test", "--workspace", "--all-features", "--test", "it", "--no-run"]
BUILD += ["--message-format=json-render-diagnostics"]
# The test harness runs this statement in every test database.
SCHEMA_VARIABLE = "SKILLKEEP_MUTATION"


class NothingProved(Exception):
    """The run says nothing about the tests."""


def workspace_packages(root):
    """The names of the packages of the Cargo workspace."""
    manifests = [root / "Cargo.toml", *sorted(root.glob("crates/*/Cargo.toml"))]
    return [tomllib.loads(path.read_text())["package"]["name"] for path in manifests]


def last_lines(text, count=5):
    return "\n".join(text.strip().splitlines()[-count:])


class Project:
    def __init__(self, folder):
        self.folder = folder
        self.program = None
        self.passing = set()
        self.env = os.environ | {
            "CARGO_TARGET_DIR": os.environ.get("MUTATION_TARGET_DIR") or str(target_folder() / "mutation"),
            "RUST_BACKTRACE": "0",
            # Each build compiles only what changed, without debug information.
            "CARGO_INCREMENTAL": "1",
            "CARGO_PROFILE_DEV_DEBUG": "0",
            "CARGO_PROFILE_TEST_DEBUG": "0",
        }

    def copy_repository(self):
        """Copies the files that are committed or could be, but no build output."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in run_checked("git ls-files", command, cwd=ROOT).split("\0"):
            source, target = ROOT / name, self.folder / name
            if name and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)

    @contextlib.contextmanager
    def with_text(self, file, text):
        """Replaces the content of a file until the end of the block."""
        path = self.folder / file
        original = path.read_bytes()
        path.write_text(text)
        try:
            yield
        finally:
            path.write_bytes(original)

    def read(self, file):
        return (self.folder / file).read_text()

    def build(self):
        """Builds the test program. Returns cargo's error output when that fails, or else None."""
        self.program = None
        done = subprocess.run(BUILD, cwd=self.folder, env=self.env, capture_output=True, text=True)
        if done.returncode == 0:
            self.program = find_test_program(done.stdout)
        return None if self.program else done.stderr

    def require_program(self):
        """Builds the test program without a mutation, unless that was done."""
        if self.program is None and (errors := self.build()) is not None:
            raise NothingProved(f"the copy cannot be built:\n{last_lines(errors)}")

    def discard_program(self):
        self.program = None

    def compiler_error(self, errors):
        return compiler_error(errors, workspace_packages(self.folder))

    def run_tests(self, filters, schema=None):
        """What the test program prints. Stops it after TEST_SECONDS."""
        env = self.env | ({SCHEMA_VARIABLE: schema} if schema else {})
        return run_limited([Path(self.program), *filters], seconds=TEST_SECONDS, cwd=self.folder, env=env).output

    def failures(self, filters, schema=None):
        return failed_tests(self.run_tests(filters, schema))

    def require_passing(self, filters):
        """The tests must run, and pass, without a mutation."""
        self.require_program()
        if filters in self.passing:
            return
        output = self.run_tests(filters)
        if failed := failed_tests(output):
            raise NothingProved(f"the tests {' '.join(filters)} fail without a mutation: {', '.join(failed)}")
        if not has_passed(output):
            raise NothingProved(f"the tests {' '.join(filters)} do not run: {last_lines(output, 1)}")
        self.passing.add(filters)

    def list_schema_mutations(self):
        command = [self.program, LIST_TEST, "--ignored", "--nocapture"]
        done = run_limited(
            command, seconds=TEST_SECONDS, stderr=subprocess.STDOUT, cwd=self.folder, env=self.env
        )
        return listed_mutations(done.output)
