"""The server under load, its embedded database, and queries to the database as superuser, which no policy restricts."""

import glob
import http.client
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

from common.errors import CannotRun
from common.process import free_port
from common.skillkeep import DatabaseHold, Skillkeep

# PostgreSQL's recovery and its restart by the supervisor take much less.
RECOVERY_SECONDS = 60
# The exit code of psql when the connection was lost or refused.
PSQL_NO_CONNECTION = 2
COUNT_TRANSACTIONS = """
SELECT count(*) FROM pg_stat_activity WHERE usename = 'skillkeep_app' AND xact_start IS NOT NULL
"""
LIST_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE usename = 'skillkeep_app'"


def find_psql():
    folders = [os.environ["SKILLKEEP_PG_BIN"]] if os.environ.get("SKILLKEEP_PG_BIN") else []
    # The newest version first: an older psql may not understand a newer server.
    for pattern in ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql@*/bin"):
        folders += sorted(glob.glob(pattern), reverse=True)
    for folder in folders:
        if os.access(os.path.join(folder, "psql"), os.X_OK):
            return os.path.join(folder, "psql")
    if found := shutil.which("psql"):
        return found
    raise CannotRun("psql was not found; install PostgreSQL's client programs or set SKILLKEEP_PG_BIN")


class Deployment(Skillkeep):
    def __init__(self, program, folder):
        super().__init__(program, folder)
        self.psql = find_psql()
        self.port = free_port()
        self.hold = None
        self.socket_folder = None

    def hold_database(self):
        self.hold = DatabaseHold(self)
        self.socket_folder = self.hold.socket_folder

    def release_database(self):
        if self.hold is not None:
            self.hold.release()
            self.hold = None

    def restart_server(self):
        self.start_server(f"127.0.0.1:{self.port}")
        self.wait_until_ready()

    def is_ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def require_running_server(self):
        if (code := self.server.exit_code()) is not None:
            raise CannotRun(f"the server ended with exit code {code}, see {self.log}")

    def wait_until_ready(self):
        deadline = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            self.require_running_server()
            if self.is_ready():
                return
            time.sleep(0.02)
        raise CannotRun(f"the server was not ready within {RECOVERY_SECONDS} s after its start")

    def sql(self, query):
        """The rows of a query, as lists of strings. Repeats the query while the database is restarting."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while True:
            done = subprocess.run(
                [self.psql, "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", self.socket_folder, "-p", "5432"]
                + ["-U", "skillkeep_superuser", "-d", "skillkeep", "-c", query],
                env={**self.env, "PGCONNECT_TIMEOUT": "5"}, capture_output=True, text=True,
            )
            if done.returncode == 0:
                return [line.split("\t") for line in done.stdout.splitlines()]
            if done.returncode != PSQL_NO_CONNECTION or time.monotonic() > deadline:
                raise CannotRun(f"psql failed: {done.stderr.strip()}")
            time.sleep(0.05)

    def wait_for_open_transactions(self):
        """The transaction of a call whose answer was lost may still be about to commit."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            if self.sql(COUNT_TRANSACTIONS) == [["0"]]:
                return
            time.sleep(0.05)
        raise CannotRun(f"a transaction was still open {RECOVERY_SECONDS} s after a kill")

    def close(self):
        self.stop()
        self.release_database()


def kill_server(deployment, number):
    # Every second time nothing else uses the database, and its supervisor stops it when the server is killed.
    if number % 2 == 0:
        deployment.hold_database()
    deployment.server.kill()
    deployment.restart_server()
    deployment.release_database()


def kill_postmaster(deployment, _number):
    pid_file = Path(deployment.data_folder, "data", "postmaster.pid")
    os.kill(int(pid_file.read_text(encoding="ascii").splitlines()[0]), signal.SIGKILL)


def kill_backend(deployment, _number):
    backends = deployment.sql(LIST_BACKENDS)
    if not backends:
        raise CannotRun("the server has no connection to the database although it is under load")
    os.kill(int(random.choice(backends)[0]), signal.SIGKILL)


KILLS = {"server": kill_server, "postmaster": kill_postmaster, "backend": kill_backend}
