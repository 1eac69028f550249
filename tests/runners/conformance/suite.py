"""Runs the suite and judges its results."""

import json
import re
import subprocess
from dataclasses import dataclass

from clients.matrix import NEW, OLD
from common.errors import CannotRun
from common.install import NODE, node_modules
from common.paths import ROOT

SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
SUITE_SECONDS = 300
VERSIONS = [NEW, OLD]
SERVERS = ["product", "fixtures"]
SKILL_SCENARIOS = ["sep-2640-skills-directory", "sep-2640-skills-enumeration", "sep-2640-skills-manifest"]
# Fewer passed checks mean that scenarios were not run.
MINIMUM_PASSED = {("product", NEW): 100, ("product", OLD): 35, ("fixtures", NEW): 190, ("fixtures", OLD): 60}
MINIMUM_PASSED_OF_SCENARIO = 4


@dataclass(frozen=True)
class SuiteRun:
    """The number of checks that passed and failed, the suite's exit code, and what it printed."""

    passed: int
    failed: int
    code: int
    printed: str


def suite_modules():
    return node_modules("conformance", [NODE, SUITE])


def count_checks(checks):
    """(passed, failed) of the checks of one scenario; skipped checks and warnings are neither."""
    statuses = [check["status"] for check in checks]
    return statuses.count("SUCCESS"), statuses.count("FAILURE")


def count_expected_failures(text):
    """The number of entries in a file of expected failures."""
    return len(re.findall(r"^  - ", text, re.MULTILINE))


def expected_failures(server, version):
    return ROOT / "tests" / "conformance" / "expected" / f"{server}-{version}.yml"


def version_problem(run, expected, minimum):
    """Why a run of all scenarios of a protocol version failed, or None.

    The suite itself compares the failures with the expected ones and ends with 1 when they differ.
    """
    if run.code != 0:
        return f"FAILED: the suite ended with exit code {run.code}"
    if run.passed < minimum:
        return f"FAILED: fewer than {minimum} checks passed"
    if expected == 0 and run.failed:
        return "FAILED: a check failed"
    return None


def scenario_problem(run):
    """Why a run of one scenario failed, or None."""
    if run.code == 0 and run.failed == 0 and run.passed >= MINIMUM_PASSED_OF_SCENARIO:
        return None
    return f"FAILED: the suite ended with exit code {run.code}"


def run_suite(url, results, *options):
    modules = suite_modules()
    program = modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    command = [modules / ".bin" / "node", program, "server", "--url", url, "--output-dir", results, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SUITE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"the suite did not finish within {SUITE_SECONDS} s") from error
    counts = [count_checks(json.loads(file.read_text())) for file in results.glob("*/checks.json")]
    passed, failed = (sum(column) for column in zip(*counts)) if counts else (0, 0)
    return SuiteRun(passed, failed, done.returncode, done.stdout + done.stderr)
