"""Finds the mutations that no longer fit the sources, without a build."""

import re

from mutation.code import read_code_table
from mutation.points import find_query_mutations, replace_first
from mutation.project import FILTERS_OF_QUERIES, FILTERS_OF_SCHEMA, LIST_TEST, MINIMUM_QUERIES

TESTS = "tests/it"
# An attribute whose path ends with "test", other attributes and comments, then the function.
TEST_FUNCTION = re.compile(
    r"^[ \t]*#\[(?:\w+::)*test\b[^\n]*\n(?:[ \t]*(?:#\[|//)[^\n]*\n)*[ \t]*(?:pub )?(?:async )?fn (\w+)", re.MULTILINE
)


def module_of(path):
    """The module path of a file of the test program: attacks/role.rs is attacks::role, and main.rs is the root."""
    parts = list(path.with_suffix("").parts)
    if parts[-1] in ("main", "mod"):
        parts.pop()
    return parts


def list_test_names(folder):
    """The full names of the tests in the files below a folder. Tests in inline modules are listed without them."""
    names = []
    for path in sorted(folder.rglob("*.rs")):
        module = module_of(path.relative_to(folder))
        names += ["::".join([*module, name]) for name in TEST_FUNCTION.findall(path.read_text())]
    return names


def stale_reason(root, mutation):
    """Why a mutation of the code cannot be applied, or None."""
    path = root / mutation.file
    if not path.is_file():
        return "the file does not exist"
    if replace_first(path.read_text(), mutation.old, mutation.new) is None:
        return "the text is not in the file"
    return None


def unmatched_filters(filters, names):
    return [text for text in filters if not any(text in name for name in names)]


def check_stale(report, root):
    """Reports every mutation of the code whose text is gone, and every test filter that matches no test."""
    table = read_code_table()
    for mutation in table.mutations:
        line = f"{mutation.file}: {mutation.old!r}"
        if reason := stale_reason(root, mutation):
            report.fails(f"STALE  {line}: {reason}")
        else:
            report.passes(f"ok     {line}")
    names = list_test_names(root / TESTS)
    groups = table.groups | {"schema kind": (*FILTERS_OF_SCHEMA, LIST_TEST), "queries kind": FILTERS_OF_QUERIES}
    for group, filters in groups.items():
        unmatched = unmatched_filters(filters, names)
        if unmatched:
            report.fails(f"STALE  tests of {group}: no test matches {', '.join(unmatched)}")
        else:
            report.passes(f"ok     tests of {group}")
    for what, count, minimum in [
        ("mutations of the code", len(table.mutations), table.minimum),
        ("mutations of the queries", len(find_query_mutations(root)), MINIMUM_QUERIES),
    ]:
        if count < minimum:
            report.fails(f"STALE  {count} {what}; there must be at least {minimum}")
        else:
            report.passes(f"ok     {count} {what}, at least {minimum}")
