import unittest

from database.cases import Case, find_problem
from database.servers import PASSWORD


class DatabaseCaseTest(unittest.TestCase):
    works = Case("works", "postgres://x")
    fails = Case("fails", "postgres://x", 5, "refuses connections")

    def test_expected_results_have_no_problem(self):
        self.assertIsNone(find_problem(self.works, 0, "default", ""))
        self.assertIsNone(find_problem(self.fails, 5, "", "error: a:1 refuses connections\n"))

    def test_password_in_the_output_is_found(self):
        self.assertIn("password", find_problem(self.fails, 5, "", f"error: {PASSWORD} refuses connections"))

    def test_other_exit_code_text_and_form_are_found(self):
        self.assertIn("exit code", find_problem(self.works, 5, "", ""))
        self.assertIn("does not contain", find_problem(self.fails, 5, "", "error: it failed"))
        self.assertIn("one line", find_problem(self.fails, 5, "", "WARN\nerror: refuses connections"))


if __name__ == "__main__":
    unittest.main()
