"""Where the repository, the build output and the program under test are."""

import os
from pathlib import Path

from common.errors import CannotRun

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT / "samples"


def target_folder():
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()


def install_cache():
    """The folder in which npm and Python packages are installed once for all runs."""
    return target_folder() / "clients"


def find_program(*profiles):
    """SKILLKEEP_BIN, or else the first of the build profiles ("release", "debug") that has the program."""
    named = os.environ.get("SKILLKEEP_BIN")
    candidates = [Path(named)] if named else [target_folder() / profile / "skillkeep" for profile in profiles]
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate.absolute()
    searched = ", ".join(map(str, candidates))
    raise CannotRun(f"no skillkeep program at {searched}; run `cargo build` or set SKILLKEEP_BIN")
