"""Tests of tests/assistants/run with programs that are functions."""

import unittest
from pathlib import Path

from assistants import checks
from assistants.probe import MARKER, Probe
from assistants.programs import Program
from common.process import temporary_folder

ROW = {
    "candidates": [".agents/skills", ".own/skills", "~/.agents/skills", "~/.own/skills"],
    "project": [".agents/skills"],
    "user": ["~/.agents/skills"],
    "equal_names": "all-shown",
    "links": "followed",
    "depth": 1,
    "skill_name": "front-matter",
    "description_limit": {"chars": 100, "over": "cut"},
    "moved": [{"variable": "OTHER_HOME", "replaces": "~"}],
    "added": [{"variable": "MORE", "separator": ",", "below": "skills"}],
    "reads_parents": False,
}


def show(_command, place):
    """An assistant that does what ROW says."""
    home = Path(place.variables.get("OTHER_HOME", place.home))
    more = [Path(folder) / "skills" for folder in place.variables.get("MORE", "").split(",") if folder]
    read = [place.project / ".agents" / "skills", home / ".agents" / "skills", *more]
    texts = [file.read_text() for folder in read for file in sorted(folder.glob("*/SKILL.md"))]
    return "\n".join(text.split("description: ")[1].split("\n")[0][:100] for text in texts)


def program(function):
    return Program("own", "Own", "own", "own", False, function)


class ChecksTest(unittest.TestCase):
    def differences(self, row, function=show):
        probe = Probe(program(function), Path("own"))
        return {name for name, difference in checks.every_check(probe, row) if difference}

    def test_program_that_does_what_the_table_says_has_no_difference(self):
        self.assertEqual(self.differences(ROW), set())

    def test_each_column_that_is_wrong_is_found(self):
        wrong = {
            "folders": {"candidates": ROW["candidates"][1:]},
            "equal names": {"equal_names": "project-hides-user"},
            "links": {"links": "not-followed"},
            "depth": {"depth": 2},
            "folder name": {"skill_name": "front-matter-and-folder"},
            "description": {"description_limit": {"chars": 200, "over": "cut"}},
            "moved": {"moved": [{"variable": "NO_SUCH", "replaces": "~"}]},
            "added": {"added": [{"variable": "MORE", "separator": ":", "below": "skills"}]},
            "parents": {"reads_parents": True},
        }
        self.assertEqual(set(wrong), {check.__name__.replace("_", " ") for check in checks.CHECKS})
        for name, change in wrong.items():
            self.assertEqual(self.differences(ROW | change), {name})

    def test_program_that_prints_nothing_differs(self):
        self.assertLess({"folders", "links", "depth"}, self.differences(ROW, lambda *_: ""))

    def test_markers_do_not_contain_each_other(self):
        self.assertEqual(MARKER.findall("marker-1-end marker-11-endxxx"), ["1", "11"])


class ProgramTest(unittest.TestCase):
    def test_package_is_found_by_its_name_at_any_depth(self):
        with temporary_folder("assistants-") as folder:
            for place, name in (("a/package", "other"), ("b/c/own", "own")):
                (folder / place).mkdir(parents=True)
                (folder / place / "package.json").write_text(f'{{"name": "{name}", "version": "1.2.3"}}')
                (folder / place / "own").write_text("")
            found = program(show).find(folder)
            self.assertEqual(found, folder / "b/c/own/own")
            self.assertEqual(program(show).version(found), "1.2.3")
            self.assertIsNone(program(show).find(folder / "a"))


if __name__ == "__main__":
    unittest.main()
