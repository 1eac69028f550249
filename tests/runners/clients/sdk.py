"""A client that uses an SDK: a separate process that reads a JSON command and writes a JSON answer per line."""

import json
import os
import subprocess
import tempfile
import threading

from clients.matrix import client_modules, is_python
from common.errors import CheckFailed, expect_equal
from common.install import python_with
from common.paths import ROOT
from common.process import kill_group

SCENARIO_SECONDS = 120
EXIT_SECONDS = 20
PROGRAMS = ROOT / "tests" / "clients"


class SdkClient:
    calls_unknown_tools = True

    def __init__(self, config):
        if is_python(config["package"]):
            command = [python_with(config["package"]), PROGRAMS / "sdk_client.py"]
        else:
            modules = client_modules()
            config = config | {"modules": str(modules), "package": config["package"].rpartition("@")[0]}
            command = [modules / ".bin" / "node", PROGRAMS / "sdk_client.mjs"]
        self.name, self.version = config["client"]["name"], config["client"]["version"]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            env=os.environ | {"CLIENT_CONFIG": json.dumps(config)}, start_new_session=True,
        )
        # The group includes the server that the client started over stdio.
        self.timer = threading.Timer(SCENARIO_SECONDS, lambda: kill_group(self.process))
        self.timer.start()

    def connect(self, version):
        expect_equal("the agreed protocol version", self.answer()["protocol_version"], version)

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            errors = self.errors.read().strip()[-1500:]
            raise CheckFailed(f"the client ended with exit code {self.process.returncode}: {errors}")
        return json.loads(line)

    def list_tools(self):
        return self.ask(method="tools/list")["result"]["tools"]

    def list_resources(self):
        return self.ask(method="resources/list")["result"]["resources"]

    def read_resource(self, uri):
        return self.ask(method="resources/read", uri=uri)["result"]["contents"]

    def call(self, tool, arguments):
        return self.ask(method="tools/call", name=tool, arguments=arguments)

    def close(self):
        """Ends the client, which must exit with 0."""
        try:
            self.process.communicate(timeout=EXIT_SECONDS)
            expect_equal("the client's exit code", self.process.returncode, 0)
        except (subprocess.TimeoutExpired, BrokenPipeError) as error:
            raise CheckFailed(f"the client did not end: {error}") from error
        finally:
            self.abandon()

    def abandon(self):
        self.timer.cancel()
        kill_group(self.process)
        self.errors.close()
