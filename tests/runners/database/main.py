"""The entry point of tests/database/run."""

import argparse
import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

import database
from common.errors import CannotRun
from common.paths import find_program
from common.report import Report
from database.cases import LIST, behind_pooler, find_problem, with_tls
from database.servers import OWNER, PASSWORD, ROLES, PgBouncer, Postgres, make_certificates, require

CASE_SECONDS = 30
POOL_MODES = ("session", "transaction", "statement")


def run(program, url, *command, key=None):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "SKILLKEEP_", "DATABASE_"))}
    environment |= {"DATABASE_URL": url} | ({"SKILLKEEP_API_KEY": key} if key else {})
    try:
        return subprocess.run([program, *command], env=environment, capture_output=True, text=True, timeout=CASE_SECONDS,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, None, "", f"did not end within {CASE_SECONDS} s")


def set_up(program, postgres):
    """Creates the schema and a key."""
    url = f"postgres://{OWNER}:{PASSWORD}@127.0.0.1:{postgres.port}/registry"
    postgres.wait()
    postgres.sql(ROLES)
    for command in (("migrate",), ("key", "create", "--user", "ada@example.com")):
        done = run(program, url, *command)
        if done.returncode != 0:
            raise CannotRun(f"skillkeep {' '.join(command)} failed:\n{done.stderr}")
    return done.stdout.strip()


def check(report, program, cases, key):
    for case in cases:
        done = run(program, case.url, *case.command, key=None if case.command == LIST else key)
        problem = find_problem(case, done.returncode, done.stdout, done.stderr)
        if problem:
            report.fails(f"{case.name}: FAILED", f"    {problem}\n    {done.stderr.strip()}")
        else:
            report.passes(f"{case.name}: ok")


def main():
    parser = argparse.ArgumentParser(
        prog="tests/database/run", description=database.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--without-pgbouncer", action="store_true", help="test only the connections without a pooler")
    options = parser.parse_args()
    require("openssl", "psql")
    os.environ["PATH"] += ":/usr/sbin"
    if not options.without_pgbouncer:
        require("pgbouncer")
    program = find_program("release", "debug")
    report = Report()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        certificates, cluster, pooler = (folder / each for each in ("certificates", "cluster", "pooler"))
        for each in (certificates, cluster, pooler):
            each.mkdir(mode=0o755)
        make_certificates(certificates)
        postgres = Postgres(cluster, certificates)
        stack.callback(postgres.stop)
        key = set_up(program, postgres)
        check(report, program, with_tls(postgres, certificates), key)
        for pool_mode in () if options.without_pgbouncer else POOL_MODES:
            bouncer = PgBouncer(pooler, postgres, pool_mode)
            stack.callback(bouncer.stop)
            check(report, program, behind_pooler(pool_mode, bouncer.port), key)
    return report.finish()
