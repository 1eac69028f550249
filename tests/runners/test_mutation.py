import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from common.errors import CannotRun
from common.paths import ROOT
from common.report import Report
from mutation import main as runner
from mutation.code import CodeMutation, parse_code_table, read_code_table
from mutation.output import compiler_error, failed_tests, find_test_program, has_passed, judge, listed_mutations
from mutation.points import (
    ID_PARAMETER, TENANT_JOIN, TENANT_PARAMETER, count_occurrences, find_query_mutations, replace_first,
    replace_occurrence,
)
from mutation.project import MINIMUM_QUERIES, MINIMUM_SCHEMA, NothingProved, workspace_packages
from mutation.stale import list_test_names, stale_reason, unmatched_filters


class PointsTest(unittest.TestCase):
    sql = "SELECT 1 FROM a JOIN b ON b.tenant_id = a.tenant_id\nWHERE a.tenant_id = $1 AND tenant_id = $1 AND a.id = $1"

    def test_each_condition_is_found(self):
        counts = [count_occurrences(self.sql, pattern) for pattern, _ in (TENANT_PARAMETER, TENANT_JOIN, ID_PARAMETER)]
        self.assertEqual(counts, [2, 1, 1])

    def test_other_conditions_are_not_found(self):
        for text in ("other_tenant_id = $2", "tenant_id = t.id", "user_id = $1"):
            counts = [count_occurrences(text, pattern) for pattern, _ in (TENANT_PARAMETER, TENANT_JOIN, ID_PARAMETER)]
            self.assertEqual(counts, [0, 0, 0], text)

    def test_only_the_numbered_occurrence_is_replaced(self):
        changed = replace_occurrence(self.sql, *TENANT_PARAMETER, 2)
        self.assertTrue(changed.endswith("WHERE a.tenant_id = $1 AND $1::uuid IS NOT NULL AND a.id = $1"))
        changed = replace_occurrence(self.sql, *TENANT_PARAMETER, 1)
        self.assertIn("WHERE $1::uuid IS NOT NULL AND tenant_id = $1", changed)

    def test_replacement_is_taken_literally(self):
        self.assertEqual(replace_occurrence("a b", "a", r"\1$&", 1), r"\1$& b")

    def test_missing_occurrence_is_an_error(self):
        with self.assertRaises(ValueError):
            replace_occurrence(self.sql, *TENANT_JOIN, 2)

    def test_first_occurrence_of_a_text_is_replaced(self):
        self.assertEqual(replace_first("a.b a.b", "a.b", "c"), "c a.b")

    def test_missing_or_unchanged_text_gives_none(self):
        self.assertIsNone(replace_first("axb", "a.b", "c"))
        self.assertIsNone(replace_first("a", "a", "a"))

    def test_repository_has_enough_query_mutations(self):
        mutations = find_query_mutations(ROOT)
        self.assertGreaterEqual(len(mutations), MINIMUM_QUERIES)
        for each in mutations:
            text = (ROOT / each.file).read_text()
            self.assertNotEqual(each.apply(text), text)


class OutputTest(unittest.TestCase):
    def test_program_of_the_test_target_is_found(self):
        def artifact(name, executable):
            message = {"reason": "compiler-artifact", "target": {"name": name}, "executable": executable}
            return json.dumps(message)

        lines = [
            artifact("skillkeep", "/t/skillkeep-1"), "   Compiling x", artifact("it", None), artifact("it", "/t/it-2"),
            artifact("audit", "/t/audit-3"), '{"reason":"build-finished","success":true}',
        ]
        self.assertEqual(find_test_program("\n".join(lines)), "/t/it-2")
        self.assertIsNone(find_test_program(lines[0]))

    def test_first_error_of_our_package_is_returned(self):
        errors = "warning: x\nerror[E0308]: mismatched types\n --> a\nerror: could not compile `skillkeep` (lib)\n"
        self.assertEqual(compiler_error(errors, ["skillkeep"]), "error[E0308]: mismatched types")
        lint = "error: unused variable: `key`\nerror: could not compile `skillkeep` (lib) due to 1 previous error\n"
        self.assertEqual(compiler_error(lint, ["skillkeep"]), "error: unused variable: `key`")

    def test_other_build_failures_are_no_compiler_error(self):
        for errors in (
            "error[E0308]: mismatched types\nerror: could not compile `ring` (lib)\n",
            "error: could not compile `skillkeep` (lib)\n\nCaused by: process killed (signal: 9)\n",
            "error: failed to download from registry\n",
            "",
        ):
            self.assertIsNone(compiler_error(errors, ["skillkeep"]), errors)

    def test_failed_tests_are_read_from_the_output(self):
        output = "test a::b ... ok\ntest a::c ... FAILED\ntest d ... ignored\ntest e::f ... FAILED\n\nfailures:\n"
        self.assertEqual(failed_tests(output), ["a::c", "e::f"])
        self.assertEqual(failed_tests("test result: FAILED. 1 passed; 2 failed"), [])

    def test_run_without_tests_has_not_passed(self):
        self.assertTrue(has_passed("running 2 tests\n\ntest result: ok. 2 passed; 0 failed;"))
        for output in ("test result: ok. 0 passed;", "test result: FAILED. 3 passed;", "running 2 tests\n", ""):
            self.assertFalse(has_passed(output), output)

    def test_statements_are_read_from_the_list(self):
        output = "running 1 test\nmutation: DROP POLICY a ON b\nmutation: DROP TRIGGER c ON d\ntest x ... ok\n"
        self.assertEqual(listed_mutations(output), ["DROP POLICY a ON b", "DROP TRIGGER c ON d"])


class VerdictTest(unittest.TestCase):
    def test_mutation_without_failed_test_survives(self):
        self.assertTrue(judge("DROP TRIGGER a ON b", []).survived)

    def test_comparison_detects_a_trigger(self):
        verdict = judge("DROP TRIGGER a ON b", ["schema::isolation_checks"])
        self.assertFalse(verdict.survived)
        self.assertIn("comparison schema::isolation_checks", verdict.line)

    def test_isolation_needs_an_attack(self):
        for statement in (
            "ALTER TABLE a DISABLE ROW LEVEL SECURITY", "ALTER TABLE a NO FORCE ROW LEVEL SECURITY",
            "DROP POLICY tenant_access ON a", "DROP POLICY tenant_isolation ON a",
            "ALTER TABLE a DROP CONSTRAINT a_tenant_id_skill_id_fkey",
        ):
            with self.subTest(statement):
                self.assertTrue(judge(statement, ["schema::isolation_checks"]).survived)
                verdict = judge(statement, ["schema::isolation_checks", "attacks::role"])
                self.assertFalse(verdict.survived)
                self.assertIn("by 2 tests, for example the attack attacks::role", verdict.line)

    def test_list_of_tenants_needs_no_attack(self):
        self.assertFalse(judge("DROP POLICY tenant_directory ON tenants", ["schema::isolation_checks"]).survived)


TABLE = """
minimum = 1
[tests]
keys = ["keys::", "http::"]
[[mutation]]
file = "src/a.rs"
from = ' && allowed'
to = ''
tests = "keys"
"""


class CodeTableTest(unittest.TestCase):
    def test_entry_is_read_with_its_filters(self):
        table = parse_code_table(TABLE)
        self.assertEqual(table.mutations, [CodeMutation("src/a.rs", " && allowed", "", ("keys::", "http::"), None)])

    def test_unknown_and_unused_groups_are_errors(self):
        unknown = TABLE.replace('tests = "keys"', 'tests = "other"')
        unused = TABLE.replace("keys = ", 'x = ["a"]\nkeys = ')
        for table in (unknown, unused):
            with self.assertRaises(CannotRun):
                parse_code_table(table)

    def test_table_of_the_repository_has_its_minimum(self):
        table = read_code_table()
        self.assertGreaterEqual(table.minimum, 40)
        self.assertGreaterEqual(len(table.mutations), table.minimum)
        self.assertEqual(len(set(table.mutations)), len(table.mutations))

    def test_minimums_of_other_kinds_have_not_shrunk(self):
        self.assertGreaterEqual((MINIMUM_SCHEMA, MINIMUM_QUERIES), (120, 80))


class StaleTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def test_missing_file_and_text_are_stale(self):
        each = CodeMutation("src/a.rs", " && allowed", "", ("keys::",), None)
        self.assertIn("file does not exist", stale_reason(self.root, each))
        self.write("src/a.rs", "known")
        self.assertIn("not in the file", stale_reason(self.root, each))
        self.write("src/a.rs", "known && allowed")
        self.assertIsNone(stale_reason(self.root, each))

    def test_names_have_the_path_of_their_module(self):
        self.write("main.rs", "mod a;\n#[test]\nfn root() {}\nfn helper() {}\n")
        self.write("a.rs", '#[tokio::test(flavor = "multi_thread")]\n#[ignore = "slow"]\n// why\nasync fn of_a() {}\n')
        self.write("a/b.rs", "mod inner {\n    #[test]\n    fn of_b() {}\n}\n#[cfg(test)]\nfn no_test() {}\n")
        self.assertEqual(list_test_names(self.root), ["a::b::of_b", "a::of_a", "root"])

    def test_filter_without_a_test_is_reported(self):
        self.assertEqual(unmatched_filters(["a::", "b::of", "c::"], ["a::b::of_b"]), ["c::"])

    def test_packages_of_the_workspace_are_read(self):
        self.write("Cargo.toml", '[package]\nname = "skillkeep"\n')
        self.write("crates/search/Cargo.toml", '[package]\nname = "skill-search"\n')
        self.assertEqual(workspace_packages(self.root), ["skillkeep", "skill-search"])


class FakeProject:
    """Runs no tests: `failed` are the tests that fail with each mutation, `errors` those of its build."""

    def __init__(self, folder, failed=(), errors=None):
        self.folder = folder
        self.failed = list(failed)
        self.errors = errors
        self.texts = []

    @contextlib.contextmanager
    def with_text(self, file, text):
        self.texts.append((file, text))
        yield

    def read(self, file):
        return (self.folder / file).read_text()

    def build(self):
        return self.errors

    def compiler_error(self, errors):
        return compiler_error(errors, ["skillkeep"])

    def failures(self, _filters, _schema=None):
        return self.failed


class RunTest(unittest.TestCase):
    each = CodeMutation("a.rs", " && allowed", "", ("keys::",), None)

    def run_mutation(self, text="known && allowed", **options):
        report = Report()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            (Path(folder) / "a.rs").write_text(text)
            project = FakeProject(Path(folder), **options)
            runner.run_code_mutation(report, project, self.each)
        return report.passed, report.failed, project.texts

    def test_failed_test_detects_the_mutation(self):
        self.assertEqual(self.run_mutation(failed=["keys::a"]), (1, 0, [("a.rs", "known")]))

    def test_survivor_and_stale_text_fail(self):
        self.assertEqual(self.run_mutation(), (0, 1, [("a.rs", "known")]))
        self.assertEqual(self.run_mutation(text="renamed"), (0, 1, []))

    def test_compiler_detects_the_mutation(self):
        errors = "error: unused variable: `key`\nerror: could not compile `skillkeep` (lib)\n"
        self.assertEqual(self.run_mutation(errors=errors)[:2], (1, 0))

    def test_other_build_failure_proves_nothing(self):
        with self.assertRaises(NothingProved):
            self.run_mutation(errors="error: no space left on device\n")

    def exit_code(self, run_kinds):
        with (
            mock.patch.object(runner, "run_kinds", run_kinds),
            mock.patch("sys.argv", ["run"]),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            return runner.main()

    def test_exit_code_is_one_with_a_survivor(self):
        self.assertEqual(self.exit_code(lambda report, _: report.fails("SURVIVED")), 1)
        self.assertEqual(self.exit_code(lambda report, _: report.passes("detected")), 0)

    def test_exit_code_is_seventy_when_nothing_is_proved(self):
        for error in (NothingProved("few"), CannotRun("no git")):
            self.assertEqual(self.exit_code(mock.Mock(side_effect=error)), 70)

    def test_too_few_mutations_prove_nothing(self):
        runner.require_minimum("mutations", 80, 80)
        with self.assertRaises(NothingProved):
            runner.require_minimum("mutations", 79, 80)

    def test_kinds_have_an_optional_text(self):
        selected = runner.parse_arguments(["code=src/tools", "schema"]).kinds
        self.assertEqual(selected, [("code", "src/tools"), ("schema", "")])
        self.assertEqual([kind for kind, _ in runner.parse_arguments([]).kinds], ["schema", "queries", "code"])
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as raised:
            runner.parse_arguments(["other"])
        self.assertEqual(raised.exception.code, 2)


if __name__ == "__main__":
    unittest.main()
