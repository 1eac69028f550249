import contextlib
import io
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from common.errors import CannotRun, CheckFailed, expect_equal, run_main
from common.install import install_once
from common.paths import find_program
from common.process import Background, run_checked, run_limited, temporary_folder
from common.report import Report
from common.skillkeep import clean_environment, connection_string


def python(code):
    return [sys.executable, "-c", code]


class ReportTest(unittest.TestCase):
    def finish(self, report):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            code = report.finish()
        return code, output.getvalue()

    def test_last_line_counts_results(self):
        report = Report()
        with contextlib.redirect_stdout(io.StringIO()):
            report.passes("a")
            report.passes("b")
            report.fails("c", "why")
        self.assertEqual(self.finish(report), (1, "2 passed, 1 failed\n"))
        self.assertEqual(report.rows, 3)

    def test_exit_code_is_zero_without_failures(self):
        self.assertEqual(self.finish(Report()), (0, "0 passed, 0 failed\n"))


class ErrorsTest(unittest.TestCase):
    def exit_code(self, result):
        def main():
            if isinstance(result, BaseException):
                raise result
            return result

        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as raised:
            run_main(main)
        return raised.exception.code

    def test_exit_code_is_the_one_of_main(self):
        self.assertEqual([self.exit_code(0), self.exit_code(1)], [0, 1])

    def test_missing_requirement_ends_with_two(self):
        self.assertEqual(self.exit_code(CannotRun("npm is not installed")), 2)

    def test_different_values_raise_with_both(self):
        expect_equal("a number", 1, 1)
        with self.assertRaisesRegex(CheckFailed, "a number: expected 2, got 1"):
            expect_equal("a number", 1, 2)


class ProcessTest(unittest.TestCase):
    def test_failed_command_raises_with_its_errors(self):
        self.assertEqual(run_checked("print", python("print('fine')")), "fine\n")
        with self.assertRaisesRegex(CannotRun, "exit failed:\nno luck"):
            run_checked("exit", python("import sys; sys.exit('no luck')"))

    def test_slow_command_raises(self):
        with self.assertRaisesRegex(CannotRun, "sleep did not finish within 0.2 s"):
            run_checked("sleep", python("import time; time.sleep(30)"), seconds=0.2)

    def test_limited_command_returns_code_and_output(self):
        done = run_limited(python("print('a'); raise SystemExit(3)"), seconds=30)
        self.assertEqual((done.code, done.output), (3, "a\n"))

    def test_time_limit_stops_command_and_keeps_output(self):
        started = time.monotonic()
        done = run_limited(python("import time; print('begun', flush=True); time.sleep(60)"), seconds=1)
        self.assertEqual((done.code, done.output), (None, "begun\n"))
        self.assertLess(time.monotonic() - started, 30)

    def test_time_limit_stops_children(self):
        child = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); "
        done = run_limited(python(child + "import time; time.sleep(60)"), seconds=1)
        pid = int(done.output)
        deadline = time.monotonic() + 10
        while is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(is_running(pid))

    def test_background_output_is_matched_from_its_start(self):
        with temporary_folder("skillkeep-runners-") as folder:
            log = folder / "log"
            log.write_text("port 1\n")
            process = Background(python("print('port 2', flush=True); input()"), log, env=os.environ)
            try:
                self.assertEqual(process.wait_for_output(r"port (\d)").group(1), "2")
            finally:
                process.stop()
            self.assertIsNotNone(process.exit_code())

    def test_background_that_ends_early_cannot_run(self):
        with temporary_folder("skillkeep-runners-") as folder:
            process = Background(python("print('broken')"), folder / "log", env=os.environ)
            with self.assertRaisesRegex(CannotRun, "did not start:\nbroken"):
                process.wait_for_output("ready")

    def test_temporary_folder_is_removed_after_error(self):
        with self.assertRaises(ZeroDivisionError), temporary_folder("skillkeep-runners-") as folder:
            (folder / "file").write_text("")
            raise ZeroDivisionError
        self.assertFalse(folder.exists())


def is_running(pid):
    """False for a process that ended and was not reaped yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class InstallTest(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.TemporaryDirectory()
        self.addCleanup(self.base.cleanup)
        self.folder = Path(self.base.name) / "packages"
        self.installs = 0

    def install(self):
        self.installs += 1
        (self.folder / "file").write_text("content")

    def run_install(self, packages, install=None):
        with contextlib.redirect_stderr(io.StringIO()):
            install_once(self.folder, packages, install or self.install)

    def test_same_packages_are_installed_once(self):
        self.run_install(["a@1"])
        self.run_install(["a@1"])
        self.assertEqual(self.installs, 1)

    def test_other_version_replaces_the_folder(self):
        self.run_install(["a@1"])
        (self.folder / "old").write_text("")
        self.run_install(["a@2"])
        self.assertEqual((self.installs, (self.folder / "old").exists()), (2, False))

    def test_interrupted_installation_is_repeated(self):
        with self.assertRaises(ZeroDivisionError):
            self.run_install(["a@1"], install=lambda: 1 / 0)
        self.run_install(["a@1"])
        self.assertEqual(self.installs, 1)


class SkillkeepTest(unittest.TestCase):
    def test_settings_of_another_skillkeep_are_removed(self):
        environment = {
            "PATH": "/bin", "SKILLKEEP_API_KEY": "secret", "SKILLKEEP_PG_BIN": "/pg", "DATABASE_URL": "postgres://",
            "DATABASE_URL_ADMIN": "postgres://",
        }
        self.assertEqual(clean_environment(environment), {"PATH": "/bin", "SKILLKEEP_PG_BIN": "/pg"})

    def test_connection_uses_the_role_of_the_server(self):
        self.assertIn("user=skillkeep_app", connection_string("/tmp/socket"))

    def test_named_program_must_exist(self):
        with mock.patch.dict(os.environ, {"SKILLKEEP_BIN": "/does/not/exist"}):
            with self.assertRaisesRegex(CannotRun, "no skillkeep program at /does/not/exist"):
                find_program("debug")

    def test_first_existing_profile_is_used(self):
        with tempfile.TemporaryDirectory() as target:
            program = Path(target).resolve() / "debug" / "skillkeep"
            program.parent.mkdir()
            program.write_text("")
            program.chmod(0o755)
            environment = {"CARGO_TARGET_DIR": target}
            with mock.patch.dict(os.environ, environment):
                os.environ.pop("SKILLKEEP_BIN", None)
                self.assertEqual(find_program("release", "debug"), program)


if __name__ == "__main__":
    unittest.main()
