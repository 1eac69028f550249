import unittest

from clients.matrix import NEW, OLD
from conformance.suite import (
    MINIMUM_PASSED, SERVERS, VERSIONS, SuiteRun, count_checks, count_expected_failures, expected_failures,
    scenario_problem, version_problem,
)


def run(passed=100, failed=0, code=0):
    return SuiteRun(passed, failed, code, "")


class SuiteTest(unittest.TestCase):
    def test_skipped_checks_and_warnings_are_not_counted(self):
        statuses = ["SUCCESS", "FAILURE", "WARNING", "SUCCESS", "SKIPPED", "INFO"]
        self.assertEqual(count_checks([{"status": status} for status in statuses]), (2, 1))

    def test_expected_failures_are_counted_without_comments(self):
        text = "server:\n  # - comment\n  - one\n  - two:check\n"
        self.assertEqual(count_expected_failures(text), 2)
        self.assertEqual(count_expected_failures("server: []\n"), 0)

    def test_numbers_of_expected_failures_have_not_grown(self):
        counts = {
            (server, version): count_expected_failures(expected_failures(server, version).read_text())
            for server in SERVERS
            for version in VERSIONS
        }
        self.assertEqual(
            counts, {("product", NEW): 43, ("product", OLD): 25, ("fixtures", NEW): 0, ("fixtures", OLD): 5}
        )

    def test_every_run_has_a_minimum(self):
        self.assertEqual(set(MINIMUM_PASSED), {(server, version) for server in SERVERS for version in VERSIONS})

    def test_passed_run_has_no_problem(self):
        self.assertIsNone(version_problem(run(), expected=0, minimum=100))

    def test_expected_failures_are_left_to_the_suite(self):
        self.assertIsNone(version_problem(run(failed=7), expected=5, minimum=100))

    def test_unexpected_exit_code_fails(self):
        self.assertIn("exit code 1", version_problem(run(code=1), expected=5, minimum=100))

    def test_too_few_passed_checks_fail(self):
        self.assertIn("fewer than 100", version_problem(run(passed=99), expected=5, minimum=100))

    def test_failure_without_expected_failures_fails(self):
        self.assertIn("a check failed", version_problem(run(failed=1), expected=0, minimum=100))

    def test_scenario_must_pass_four_checks_and_fail_none(self):
        self.assertIsNone(scenario_problem(run(passed=4)))
        for bad in (run(passed=3), run(failed=1), run(code=1)):
            self.assertIsNotNone(scenario_problem(bad))


if __name__ == "__main__":
    unittest.main()
