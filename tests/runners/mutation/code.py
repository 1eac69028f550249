"""Reads tests/mutation/code.toml."""

import tomllib
from dataclasses import dataclass

from common.errors import CannotRun
from common.paths import ROOT

CODE_TABLE = ROOT / "tests" / "mutation" / "code.toml"


@dataclass(frozen=True)
class CodeMutation:
    """`tests` are filters of test names. `schema` are SQL statements that change each test database, too."""

    file: str
    old: str
    new: str
    tests: tuple
    schema: str | None

    @property
    def description(self):
        return f"{self.file}: {self.old} -> {self.new}".replace("\n", " ")


@dataclass(frozen=True)
class CodeTable:
    minimum: int
    mutations: list
    # Group name to filters.
    groups: dict


def parse_code_table(text):
    table = tomllib.loads(text)
    groups = {name: tuple(filters) for name, filters in table["tests"].items()}
    used = {entry["tests"] for entry in table["mutation"]}
    if unknown := used - groups.keys():
        raise CannotRun(f"code.toml: the test groups {sorted(unknown)} are not in [tests]")
    if unused := groups.keys() - used:
        raise CannotRun(f"code.toml: no mutation uses the test groups {sorted(unused)}")
    mutations = [
        CodeMutation(entry["file"], entry["from"], entry["to"], groups[entry["tests"]], entry.get("schema"))
        for entry in table["mutation"]
    ]
    return CodeTable(table["minimum"], mutations, groups)


def read_code_table():
    return parse_code_table(CODE_TABLE.read_text())
