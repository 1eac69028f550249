"""The program under test with a data folder and an embedded PostgreSQL of its own."""

import json
import os
import subprocess

from common.errors import CannotRun
from common.paths import SAMPLES
from common.process import Background, run_checked

# Prints "ready HOW SOCKET_FOLDER" and keeps the embedded PostgreSQL running until its standard input ends.
HOLD_COMMAND = "postgres-hold"
COMMAND_SECONDS = 600


def clean_environment(environment):
    """Without the settings of another skillkeep, except for the folder of PostgreSQL's programs."""
    return {
        name: value
        for name, value in environment.items()
        if name == "SKILLKEEP_PG_BIN" or not name.startswith(("SKILLKEEP_", "DATABASE_URL"))
    }


class Skillkeep:
    """Runs commands and the server on one data folder."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        self.data_folder = folder / "data"
        self.log = folder / "serve.log"
        # What a client must pass on to a program that it starts itself.
        self.settings = {"SKILLKEEP_DATA_DIR": str(self.data_folder)}
        if "SKILLKEEP_PG_BIN" in os.environ:
            self.settings["SKILLKEEP_PG_BIN"] = os.environ["SKILLKEEP_PG_BIN"]
        self.env = clean_environment(os.environ) | self.settings
        self.server = None

    def command(self, *arguments):
        what = f"skillkeep {' '.join(arguments[:2])}"
        command = [self.program, *arguments]
        return run_checked(what, command, seconds=COMMAND_SECONDS, stdin=subprocess.DEVNULL, env=self.env).strip()

    def json(self, *arguments):
        return json.loads(self.command(*arguments, "--json"))

    def import_samples(self):
        self.command("import", str(SAMPLES))

    def create_key(self, email, scopes):
        return self.command("key", "create", "--user", email, "--scopes", scopes, "--calls-per-minute", "none")

    def events(self):
        lines = self.command("usage", "events", "--lines", "100000", "--json").splitlines()
        return [json.loads(line) for line in lines if line.strip()]

    def start_server(self, listen="127.0.0.1:0", *options):
        """Starts the HTTP server; port 0 lets the system choose one, so that runs do not collide."""
        self.server = Background([self.program, "serve", "--listen", listen, *options], self.log, env=self.env)
        return self.server

    def serve(self, *options):
        """Starts the HTTP server and returns the URL of its MCP endpoint."""
        return self.start_server("127.0.0.1:0", *options).wait_for_output(r"http://\S+/mcp").group()

    def stop(self):
        if self.server is not None:
            self.server.stop()


class DatabaseHold:
    """Keeps the embedded PostgreSQL of a data folder running while no server uses it."""

    def __init__(self, skillkeep):
        with skillkeep.log.open("ab") as log:
            self.process = subprocess.Popen(
                [skillkeep.program, HOLD_COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                text=True, env=skillkeep.env,
            )
        fields = self.process.stdout.readline().split()
        if len(fields) != 3 or fields[0] != "ready":
            self.release()
            raise CannotRun(f"the embedded PostgreSQL did not start, see {skillkeep.log}")
        self.socket_folder = fields[2]

    def release(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def connection_string(socket_folder):
    """Connects to the embedded PostgreSQL as the server does."""
    return f"host={socket_folder} port=5432 user=skillkeep_app dbname=skillkeep"
