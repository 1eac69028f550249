"""The entry point of tests/assistants/run."""

import argparse
import json
from pathlib import Path

import assistants
from assistants.checks import every_check
from assistants.probe import Probe
from assistants.programs import PROGRAMS
from common.errors import CannotRun
from common.paths import ROOT
from common.process import run_checked
from common.report import Report

EXPORT_SECONDS = 600


def read_table():
    """The rows of the table by the assistant's name."""
    command = ["cargo", "run", "--quiet", "-p", "assistants", "--example", "skill_targets"]
    rows = json.loads(run_checked("the export of the table", command, seconds=EXPORT_SECONDS, cwd=ROOT))
    return {row["id"]: row for row in rows}


def main():
    parser = argparse.ArgumentParser(description=assistants.__doc__)
    parser.add_argument("folder", type=Path, help="where the unpacked npm packages of the programs are")
    parser.add_argument("--only", metavar="ASSISTANT", help="check one assistant, for example codex")
    options = parser.parse_args()
    if not options.folder.is_dir():
        raise CannotRun(f"{options.folder} is no folder; unpack the packages of the programs there (npm pack)")
    table = read_table()
    candidates = sorted({folder for row in table.values() for folder in row["project"] + row["user"]})
    report = Report()
    covered = set()
    for program in PROGRAMS:
        if options.only not in (None, program.assistant):
            continue
        covered.add(program.assistant)
        executable = program.find(options.folder)
        if executable is None:
            print(f"{program.title}: skipped, the package {program.package} is not below {options.folder}")
            continue
        check_program(program, executable, table[program.assistant] | {"candidates": candidates}, report)
    if options.only is None:
        for name in sorted(set(table) - covered):
            print(f"{table[name]['title']}: skipped, no program is known that lists its skills without an account")
    if report.rows == 0:
        raise CannotRun("no program was found, so nothing was compared")
    return report.finish()


def check_program(program, executable, row, report):
    """Compares one program with its row."""
    name = f"{program.title} {program.version(executable)}"
    for column, value in program.differences.items():
        print(f"{name}: {column} is {value} here; for {row['title']}: {row[column]}")
    executable.chmod(executable.stat().st_mode | 0o100)
    for check, difference in every_check(Probe(program, executable), row | program.differences):
        if difference is None:
            report.passes(f"{name}: {check} as in the table")
        else:
            report.fails(f"{name}: {difference}")
