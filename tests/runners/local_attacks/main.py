"""The entry point of tests/local-attacks/run."""

import argparse
import os
import shutil
import time

import local_attacks
from common.errors import CannotRun
from common.paths import find_program
from common.process import temporary_folder
from common.report import Report
from common.skillkeep import DatabaseHold, Skillkeep
from local_attacks import attacks
from local_attacks.stage import Stage

# Fewer attempts would mean that an attack was lost.
LEAST_ATTEMPTS = 200


def run_attempts(report, attempts):
    for name, problems in attempts:
        if problems:
            report.fails(f"FAILED: {name}", "\n".join(f"    {problem}" for problem in problems))
        else:
            report.passes(f"ok: {name}")


def run_all(report, stage, skillkeep):
    run_attempts(report, attacks.data_files(stage))
    run_attempts(report, attacks.data_folders(stage))
    run_attempts(report, attacks.key_files(stage))
    run_attempts(report, attacks.connects(stage))
    # Root's own registry, for the attacks on commands that use it.
    hold = DatabaseHold(skillkeep)
    try:
        skillkeep.command("tenant", "list")
        stage.env |= skillkeep.settings
        skillkeep.command("quickstart")
        run_attempts(report, attacks.imports(stage))
        run_attempts(report, attacks.import_races(stage))
        run_attempts(report, attacks.exports(stage))
        run_attempts(report, attacks.sockets(stage, hold.socket_folder))
    finally:
        hold.release()


def main():
    parser = argparse.ArgumentParser(
        prog="tests/local-attacks/run", description=local_attacks.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    if os.geteuid() != 0:
        raise CannotRun("root is needed, to run the attacker's processes as another account; in a container, or with sudo")
    if shutil.which("psql") is None:
        raise CannotRun("psql is needed; install the client programs of PostgreSQL")
    program = find_program("release", "debug")
    report, started = Report(), time.monotonic()
    with temporary_folder("skillkeep-attacks-") as folder:
        run_all(report, Stage(program, folder), Skillkeep(program, folder))
    if report.rows < LEAST_ATTEMPTS:
        report.fails(f"FAILED: only {report.rows} attempts were made, at least {LEAST_ATTEMPTS} are expected")
    print(f"{report.rows} attempts in {time.monotonic() - started:.0f} s", flush=True)
    return report.finish()
