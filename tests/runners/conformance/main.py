"""The entry point of tests/conformance/run."""

import argparse
import json

import conformance
from clients.scenario import SCOPES
from common.errors import CannotRun
from common.install import require_npm
from common.paths import ROOT, find_program
from common.process import Background, temporary_folder
from common.report import Report
from common.skillkeep import Skillkeep, connection_string
from conformance.suite import (
    MINIMUM_PASSED, SERVERS, SKILL_SCENARIOS, VERSIONS, count_expected_failures, expected_failures, run_suite,
    scenario_problem, suite_modules, version_problem,
)

RELAY = ROOT / "tests" / "conformance" / "relay.mjs"
# The suite calls them, so each must have left usage events, on the fixture server too.
RECORDED = {"resources/read", "skills/get", "resources/directory/read", "test_simple_text"}
# How much of the suite's output is printed when it failed, in characters.
PRINTED = 6000


class Servers:
    """The product, the fixture server on the same database, and a relay in front of each."""

    def __init__(self, product, fixture_program):
        self.product = product
        self.fixture_program = fixture_program
        self.processes = []

    def start_process(self, name, command, pattern, **env):
        process = Background(command, self.product.folder / f"{name}.log", env=self.product.env | env)
        self.processes.append(process)
        return process.wait_for_output(pattern).group(1)

    def start(self):
        """The URL of the MCP endpoint of each server."""
        urls = {"product": self.product.serve().removesuffix("/mcp")}
        api_key = self.product.create_key("suite@clients.example", SCOPES)
        database = connection_string(json.loads(self.product.command("doctor", "--json"))["socket_folder"])
        urls["fixtures"] = self.start_process(
            "fixtures", [self.fixture_program], r"(http://\S+)/mcp", DATABASE_URL=database
        )
        node = suite_modules() / ".bin" / "node"
        for server in SERVERS:
            relay = self.start_process(
                f"relay-{server}", [node, RELAY, urls[server]], r"(http://\S+)", SKILLKEEP_API_KEY=api_key
            )
            urls[server] = f"{relay}/mcp"
        return urls

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
        self.product.stop()


def add_row(report, server, requirements, run, expected, problem):
    line = f"{server:<10} {requirements:<30} {run.passed:>7} {run.failed:>7} {expected:>9}  {problem or 'ok'}"
    if problem:
        report.fails(line, run.printed[-PRINTED:])
    else:
        report.passes(line)


def check_server(report, server, url, results):
    for version in VERSIONS:
        file = expected_failures(server, version)
        expected = count_expected_failures(file.read_text())
        options = ["--requirements", version, "--expected-failures", str(file)]
        run = run_suite(url, results / f"{server}-{version}", *options)
        add_row(report, server, version, run, expected, version_problem(run, expected, MINIMUM_PASSED[server, version]))
    for scenario in SKILL_SCENARIOS:
        run = run_suite(url, results / f"{server}-{scenario}", "--scenario", scenario)
        add_row(report, server, scenario, run, 0, scenario_problem(run))


def check(servers, results):
    urls = servers.start()
    report = Report()
    print(f"{'server':<10} {'requirements':<30} {'passed':>7} {'failed':>7} {'expected':>9}  result")
    for server in SERVERS:
        check_server(report, server, urls[server], results)
    recorded = {event["tool"] for event in servers.product.events()}
    if missing := RECORDED - recorded:
        report.fails(f"FAILED: calls of the suite left no usage event: {sorted(missing)}; recorded: {sorted(recorded)}")
    return report.finish()


def main():
    argparse.ArgumentParser(
        prog="tests/conformance/run", description=conformance.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    program = find_program("debug")
    fixture_program = program.parent / "examples" / "conformance-server"
    if not fixture_program.is_file():
        build = "cargo build --workspace --all-features --example conformance-server"
        raise CannotRun(f"{fixture_program} is missing; run `{build}`")
    require_npm()
    suite_modules()
    with temporary_folder("skillkeep-conformance-") as folder:
        servers = Servers(Skillkeep(program, folder), fixture_program)
        try:
            servers.product.import_samples()
            return check(servers, folder / "results")
        finally:
            servers.stop()
