"""Finds the places in a text that can be mutated, and replaces them."""

import re
from dataclasses import dataclass

# The replacement still uses the parameter, so that PostgreSQL can infer its type.
TENANT_PARAMETER = (r"(\b\w+\.)?tenant_id = \$1", "$1::uuid IS NOT NULL")
# A join that would read the rows of every tenant.
TENANT_JOIN = (r"\b\w+\.tenant_id = \w+\.tenant_id", "true")
ID_PARAMETER = (r"\bid = \$1", "$1::uuid IS NOT NULL")


@dataclass(frozen=True)
class QueryPattern:
    """A condition in the SQL files that `files` matches, and what it is replaced with."""

    files: str
    pattern: str
    replacement: str


QUERY_PATTERNS = [
    QueryPattern("sql/queries/*/*.sql", *TENANT_PARAMETER),
    QueryPattern("sql/queries/*/*.sql", *TENANT_JOIN),
    QueryPattern("sql/queries/tenants/*.sql", *ID_PARAMETER),
]


@dataclass(frozen=True)
class QueryMutation:
    """The occurrence `number` (from 1) of a pattern in a file, of `count`."""

    file: str
    pattern: QueryPattern
    number: int
    count: int

    @property
    def description(self):
        return f"{self.file}, {self.pattern.pattern}, {self.number} of {self.count}"

    def apply(self, text):
        return replace_occurrence(text, self.pattern.pattern, self.pattern.replacement, self.number)


def count_occurrences(text, pattern):
    return sum(1 for _ in re.finditer(pattern, text, re.ASCII))


def replace_occurrence(text, pattern, replacement, number):
    """Replaces the occurrence `number` (from 1) of a regular expression by a literal text."""
    for position, match in enumerate(re.finditer(pattern, text, re.ASCII), 1):
        if position == number:
            return text[: match.start()] + replacement + text[match.end():]
    raise ValueError(f"there is no occurrence {number} of {pattern}")


def replace_first(text, old, new):
    """None when the text does not contain `old`, or does not change."""
    replaced = text.replace(old, new, 1)
    return None if replaced == text else replaced


def find_query_mutations(root):
    mutations = []
    for pattern in QUERY_PATTERNS:
        for path in sorted(root.glob(pattern.files)):
            count = count_occurrences(path.read_text(), pattern.pattern)
            file = str(path.relative_to(root))
            mutations += [QueryMutation(file, pattern, number, count) for number in range(1, count + 1)]
    return mutations
