"""Removes the tenant isolation checks one by one, on a copy of the repository, and shows which tests detect it.

Kinds of mutations:
  schema   policies, FORCE, keys and triggers in the database: a statement each, run in every test database
  queries  tenant conditions in sql/queries, replaced by a condition that is always true
  code     checks in sql and src, listed in tests/mutation/code.toml; each needs a build

Without KIND, all kinds are run. With TEXT, only the mutations of the kind whose description contains it.
MUTATION_TARGET_DIR is the build folder (default: target/mutation).
The last line is "N passed, N failed": a mutation passes when a test detects it. The exit code is 0 when all are
detected, 1 when one survived or is stale, and 70 when nothing was proved: tests fail without a mutation, a build fails
for another reason than the mutation, or there are fewer mutations than there must be.
"""
