"""The entry point of tests/crash/run."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import crash
from common.errors import CannotRun
from common.paths import find_program
from common.report import Report
from crash.consistency import count_all, find_violations, read_stored
from crash.deployment import KILLS, RECOVERY_SECONDS, Deployment
from crash.load import Client, LoadSwitch

CLIENTS = 16
SCOPES = "skills:read,skills:install,usage:write"


def was_each_answered_since(clients, marks):
    """Whether every client got an answer after its first `mark` calls."""
    return all(any(call.is_answered for call in client.calls[mark:]) for client, mark in zip(clients, marks))


def wait_for_answers(deployment, clients, marks):
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not was_each_answered_since(clients, marks):
        if time.monotonic() > deadline:
            raise CannotRun(f"not every client was answered within {RECOVERY_SECONDS} s after the kill")
        deployment.require_running_server()
        time.sleep(0.01)


def run_round(report, deployment, switch, clients, target, number):
    switch.turn_on()
    time.sleep(random.uniform(0.3, 1.5))
    server = deployment.server.pid
    killed = time.monotonic()
    KILLS[target](deployment, number)
    wait_for_answers(deployment, clients, [len(client.calls) for client in clients])
    recovery = time.monotonic() - killed
    time.sleep(0.2)
    switch.turn_off()
    deployment.wait_for_open_transactions()
    calls = [call for client in clients for call in client.calls]
    stored = read_stored(deployment.sql)
    violations = find_violations(calls, stored)
    if target != "server" and deployment.server.pid != server:
        violations.append("the server is another process than before")
    counts = ", ".join(f"{count} {what}" for what, count in count_all(calls, stored).items())
    summary = f"all clients served again after {recovery:.1f} s; {counts}"
    if violations:
        report.fails(f"{target} {number + 1}: FAILED; {summary}", "\n".join(f"    {each}" for each in violations))
    else:
        report.passes(f"{target} {number + 1}: ok; {summary}")


def run_rounds(deployment, arguments, switch):
    deployment.hold_database()
    deployment.import_samples()
    keys = [deployment.create_key(f"client{number:02}@example.com", SCOPES) for number in range(CLIENTS)]
    deployment.restart_server()
    deployment.release_database()
    clients = [Client(number, deployment.port, key, switch, arguments.seed) for number, key in enumerate(keys)]
    for client in clients:
        client.start()
    report = Report()
    for target in arguments.only:
        for number in range(arguments.rounds):
            run_round(report, deployment, switch, clients, target, number)
    if dead := [client.name for client in clients if not client.is_alive()]:
        report.fails(f"FAILED: these clients stopped at an invalid answer: {', '.join(dead)}")
    return report


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tests/crash/run", description=crash.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10, help="kills of each target (default: 10)")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=list(KILLS),
        help=f"targets, separated by commas (default: {','.join(KILLS)})",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of the random times and calls")
    arguments = parser.parse_args()
    if not set(arguments.only) <= set(KILLS):
        parser.error(f"the targets are {', '.join(KILLS)}")
    return arguments


def main():
    arguments = parse_arguments()
    random.seed(arguments.seed)
    program = find_program("release", "debug")
    print(f"seed {arguments.seed}, {CLIENTS} clients", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="skillkeep-crash-"))
    # Started by root, PostgreSQL runs as another account, which must be able to enter the folder.
    folder.chmod(0o755)
    switch = LoadSwitch()
    try:
        deployment = Deployment(program, folder)
        try:
            report = run_rounds(deployment, arguments, switch)
        finally:
            switch.end()
            deployment.close()
    except CannotRun as error:
        raise CannotRun(f"{error}; all files are kept in {folder}") from error
    code = report.finish()
    if report.failed:
        print(f"the database is kept in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return code
