"""Runs, limits and stops processes."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from common.errors import CannotRun

# How much of a program's output an error message quotes, in characters.
QUOTED = 2000
START_SECONDS = 30
STOP_SECONDS = 30
POLL_SECONDS = 0.05


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_checked(what, command, *, seconds=None, **options):
    """The standard output of a command that must succeed within `seconds`."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, **options)
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"{what} did not finish within {seconds} s") from error
    if done.returncode != 0:
        raise CannotRun(f"{what} failed:\n{(done.stderr or done.stdout).strip()[-QUOTED:]}")
    return done.stdout


@dataclass(frozen=True)
class Finished:
    """How a command ended. `code` is None when the time limit stopped it."""

    code: int | None
    output: str


def run_limited(command, *, seconds, stderr=subprocess.DEVNULL, **options):
    """Runs a command, stops it with all its children after `seconds`, and keeps what it printed until then."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=stderr, start_new_session=True, **options
        )
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            stop_group(process)
        output.seek(0)
        return Finished(code, output.read().decode(errors="replace"))


def stop_group(process, seconds=10):
    """Stops a process that leads its own process group, and its children: SIGTERM, then SIGKILL."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill_group(process)


def kill_group(process):
    """Kills a process that leads its own process group, and its children."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Background:
    """A process whose output is appended to the file `log`, until it is stopped."""

    def __init__(self, command, log, *, env):
        self.name = Path(command[0]).name
        self.log = log
        self.log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env
            )

    @property
    def pid(self):
        return self.process.pid

    def exit_code(self):
        """None while the process runs."""
        return self.process.poll()

    def output(self):
        with self.log.open("rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def wait_for_output(self, pattern):
        """The first match of a regular expression in the output. Stops the process when there is none in time."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.output()):
                return found
            if self.exit_code() is not None:
                break
            time.sleep(POLL_SECONDS)
        self.stop()
        raise CannotRun(f"{self.name} did not start:\n{self.output()[-QUOTED:]}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.exit_code() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


@contextlib.contextmanager
def temporary_folder(prefix):
    """A folder that is removed at the end and that the account of PostgreSQL can enter."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        # Started by root, PostgreSQL runs as another account.
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
