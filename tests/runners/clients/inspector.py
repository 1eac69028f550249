"""The Inspector's command line: one process, and one connection, per request."""

import json
import os
import subprocess

from clients.matrix import INSPECTOR, NEW, OLD, client_modules
from clients.sdk import SCENARIO_SECONDS
from common.errors import CheckFailed, expect_equal
from common.process import kill_group


class InspectorClient:
    # It looks the tool up in the list first.
    calls_unknown_tools = False

    def __init__(self, config):
        modules = client_modules()
        self.name, self.version = "inspector-cli", INSPECTOR.rpartition("@")[2]
        self.command = [modules / ".bin" / "mcp-inspector", *options(config)]
        self.server = ["--", *config["command"]] if config["transport"] == "stdio" else []
        # The newer Node before the system's. HOME keeps the Inspector's files away from the user's.
        path = f"{modules / '.bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        self.env = os.environ | {"PATH": path, "HOME": config["home"]}

    def connect(self, version):
        """Nothing to do: each request connects."""

    def ask(self, *arguments):
        """The exit code and the answer, or the list of answers when there are several."""
        process = subprocess.Popen(
            [*self.command, *arguments, *self.server],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.env, start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=SCENARIO_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise CheckFailed(f"the Inspector did not answer {arguments} within {SCENARIO_SECONDS} s") from error
        finally:
            kill_group(process)
        if not output.strip():
            raise CheckFailed(f"the Inspector ended with exit code {process.returncode}: {errors.strip()[-1500:]}")
        return process.returncode, parse_answers(output)

    def list_tools(self):
        code, answer = self.ask("--method", "tools/list", "--strict")
        expect_equal("the exit code of --strict", code, 0)
        return answer["result"]["tools"]

    def list_resources(self):
        return self.ask("--method", "resources/list")[1]["result"]["resources"]

    def read_resource(self, uri):
        return self.ask("--method", "resources/read", "--uri", uri)[1]["result"]["contents"]

    def call(self, tool, arguments):
        _, answer = self.ask("--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))
        return answer

    def close(self):
        """Nothing to do: each request closes its connection."""

    abandon = close


def options(config):
    era = {OLD: "legacy", NEW: "modern"}[config["protocol_version"]]
    result = ["--cli", "--protocol-era", era, "--format", "json"]
    if config["transport"] == "stdio":
        for name, value in config["env"].items():
            result += ["-e", f"{name}={value}"]
        return result
    result += ["--transport", config["transport"], "--server-url", config["url"]]
    return [*result, "--header", f"Authorization: Bearer {config['api_key']}"]


def parse_answers(output):
    """`--verify` answers with a line for each skill, every other request with one line."""
    answers = [json.loads(line) for line in output.splitlines() if line.strip()]
    return answers[0] if len(answers) == 1 else answers
