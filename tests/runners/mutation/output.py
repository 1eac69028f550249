"""Parses the output of cargo, of the compiler and of the test program."""

import json
import re
from dataclasses import dataclass

# The tests below this module compare the schema with its description; all others try to read another tenant's data.
COMPARISON_PREFIX = "schema::"
# A mutation of these must let an attack succeed. (The policy tenant_directory lets the administrator list the tenants,
# so it is not one of them.)
ISOLATION_STATEMENT = re.compile(r"ROW LEVEL|POLICY tenant_(access|isolation)|_tenant_id_.*_fkey")


def find_test_program(messages, target="it"):
    """The path of the built test program in cargo's JSON messages, or None."""
    program = None
    for line in messages.splitlines():
        if not line.startswith("{"):
            continue
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["target"]["name"] == target:
            program = message.get("executable") or program
    return program


def compiler_error(errors, packages):
    """The first error of the compiler in one of our packages, or None when the build failed for another reason."""
    if not any(f"could not compile `{package}`" in errors for package in packages):
        return None
    first = re.search(r"^error(\[E[0-9]+\])?: .*$", errors, re.MULTILINE)
    if first is None or "could not compile" in first.group():
        return None
    return first.group()


def failed_tests(output):
    return re.findall(r"^test (.*) \.\.\. FAILED$", output, re.MULTILINE)


def has_passed(output):
    """Whether the run ended with success and at least one test ran."""
    return re.search(r"^test result: ok\. [1-9]", output, re.MULTILINE) is not None


def listed_mutations(output):
    """The statements that the test `list_of_mutations` prints."""
    return re.findall(r"^mutation: (.*)$", output, re.MULTILINE)


@dataclass(frozen=True)
class Verdict:
    survived: bool
    line: str


def judge(description, failed):
    """Whether the failed tests detect the mutation."""
    if not failed:
        return Verdict(True, f"SURVIVED  {description}")
    attacks = [name for name in failed if not name.startswith(COMPARISON_PREFIX)]
    if attacks:
        example = f"attack {attacks[0]}"
    elif ISOLATION_STATEMENT.search(description):
        return Verdict(True, f"SURVIVED  {description}: only the comparison {failed[0]} failed, no attack succeeded")
    else:
        example = f"comparison {failed[0]}"
    return Verdict(False, f"detected  {description}\n          by {len(failed)} tests, for example the {example}")
