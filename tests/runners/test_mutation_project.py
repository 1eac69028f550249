"""Runs the mutation runner's copy, build and tests with small programs in place of cargo and of the test program."""

import contextlib
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from common.paths import ROOT
from common.report import Report
from mutation import main as runner
from mutation.project import LIST_TEST, NothingProved, Project

# The build fails when the file `broken` exists. The test program reports a failure when `checked` was changed or when
# there is a schema mutation.
CARGO = """#!/bin/sh
if [ -e broken ]; then echo 'error: could not compile `other`' >&2; exit 101; fi
echo '{"reason":"compiler-artifact","target":{"name":"it"},"executable":"PROGRAM"}'
"""
PROGRAM = f"""#!/bin/sh
case "$*" in *{LIST_TEST}*) echo 'mutation: DROP TRIGGER a ON b' >&2; exit 0 ;; esac
if [ "$1" = none ]; then echo 'test result: ok. 0 passed; 0 failed'; exit 0; fi
if [ "$(cat checked)" = original ] && [ -z "$SKILLKEEP_MUTATION" ]; then
    echo 'test a::b ... ok'; echo 'test result: ok. 1 passed; 0 failed'
else
    echo 'test a::b ... FAILED'; exit 101
fi
"""


class ProjectTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        programs, self.copy = Path(folder.name) / "bin", Path(folder.name) / "copy"
        programs.mkdir()
        self.copy.mkdir()
        for name, text in {"cargo": CARGO.replace("PROGRAM", str(programs / "it")), "it": PROGRAM}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        (self.copy / "Cargo.toml").write_text('[package]\nname = "skillkeep"\n')
        (self.copy / "checked").write_text("original")
        path = mock.patch.dict(os.environ, {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"})
        path.start()
        self.addCleanup(path.stop)
        self.project = Project(self.copy)

    def test_passing_tests_may_be_used(self):
        self.project.require_passing(("a::",))
        self.assertEqual(self.project.failures(("a::",)), [])

    def test_changed_file_fails_and_is_restored(self):
        self.project.require_program()
        with contextlib.suppress(ZeroDivisionError), self.project.with_text("checked", "mutated"):
            self.assertEqual(self.project.failures(("a::",)), ["a::b"])
            raise ZeroDivisionError
        self.assertEqual(self.project.failures(("a::",)), [])

    def test_schema_mutation_reaches_the_tests(self):
        self.project.require_program()
        self.assertEqual(self.project.failures(("a::",), "DROP TRIGGER a ON b"), ["a::b"])

    def test_tests_that_fail_without_mutation_prove_nothing(self):
        (self.copy / "checked").write_text("mutated")
        with self.assertRaisesRegex(NothingProved, "fail without a mutation: a::b"):
            self.project.require_passing(("a::",))

    def test_filters_without_tests_prove_nothing(self):
        with self.assertRaisesRegex(NothingProved, "do not run"):
            self.project.require_passing(("none",))

    def test_failed_build_proves_nothing(self):
        (self.copy / "broken").write_text("")
        with self.assertRaisesRegex(NothingProved, "cannot be built"):
            self.project.require_program()
        self.assertIsNone(self.project.compiler_error(self.project.build()))

    def test_statements_are_listed_from_the_error_output(self):
        self.project.require_program()
        self.assertEqual(self.project.list_schema_mutations(), ["DROP TRIGGER a ON b"])

    def test_too_short_list_of_statements_proves_nothing(self):
        with self.assertRaisesRegex(NothingProved, "only 1 mutations of the schema"):
            runner.run_schema(Report(), self.project, "")

    @unittest.skipUnless((ROOT / ".git").exists(), "the copy takes the list of files from git")
    def test_copy_has_sources_without_build_output(self):
        self.project.copy_repository()
        self.assertTrue((self.copy / "tests" / "mutation" / "code.toml").is_file())
        self.assertTrue(os.access(self.copy / "tests" / "mutation" / "run", os.X_OK))
        for name in (".git", "target"):
            self.assertFalse((self.copy / name).exists())


if __name__ == "__main__":
    unittest.main()
