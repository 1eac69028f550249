"""What a program shows of skills in a temporary home folder and project."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from assistants.programs import Place, Program
from common.process import temporary_folder

MARKER = re.compile(r"marker-(\d+)-end")
# How deep below a skills folder skills are tried.
DEEPEST = 8


class Probe:
    """Runs one program, each time in new folders."""

    def __init__(self, program: Program, executable: Path) -> None:
        self.program = program
        self.command = program.command(executable)

    def text(self, skills: list[Skill], variables: dict[str, str] | None = None, below: str = "") -> str:
        """What the program shows. `~` in a variable is the home; `below` is the working folder in the project."""
        with temporary_folder("assistants-") as folder:
            place = Place(folder / "home", folder / "home" / "src" / "project", {})
            (place.project / below).mkdir(parents=True)
            subprocess.run(["git", "init", "--quiet", place.project], check=True, capture_output=True)
            for index, skill in enumerate(skills):
                skill.write(place, index)
            for name, value in (variables or {}).items():
                place.variables[name] = value.replace("~", str(place.home))
            started = Place(place.home, place.project / below, place.variables)
            return self.program.show(self.command, started)

    def shown(self, skills: list[Skill], variables: dict[str, str] | None = None, below: str = "") -> list[int]:
        """The indexes of the skills that the program shows, each as often as it is shown."""
        return [int(found) for found in MARKER.findall(self.text(skills, variables, below))]


class Skill:
    """A skill to try. `folder` is a skills folder, below the home with `~/`, else below the project."""

    def __init__(self, folder: str, name: str, *, below: str = "", written: str | None = None, link: str | None = None,
                 chars: int = 0) -> None:
        self.folder = folder
        self.name = name
        # Folders between the skills folder and the skill.
        self.below = below
        # The name in the front matter, if it is another one.
        self.written = written or name
        # The folder that holds the files, if the skill's folder is a symbolic link.
        self.link = link
        # The length of the description.
        self.chars = chars

    def write(self, place: Place, index: int) -> None:
        """Writes SKILL.md."""
        folder = resolve(place, self.folder) / self.below / self.name
        if self.link is not None:
            target = resolve(place, self.link) / self.name
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.symlink_to(target, target_is_directory=True)
            if target.exists():
                return
            folder = target
        folder.mkdir(parents=True)
        description = f"marker-{index}-end".ljust(self.chars, "x")
        text = f"---\nname: {self.written}\ndescription: {description}\n---\n\nDo nothing.\n"
        (folder / "SKILL.md").write_text(text)


def resolve(place: Place, folder: str) -> Path:
    """The path of a folder of the table."""
    return place.home / folder.removeprefix("~/") if folder.startswith("~/") else place.project / folder


def folders_shown(probe: Probe, folders: list[str]) -> set[str]:
    """The folders of which a skill is shown."""
    skills = [Skill(folder, f"skill-{index}") for index, folder in enumerate(folders)]
    return {folders[index] for index in probe.shown(skills)}


def order_of_equal_names(probe: Probe, folders: list[str]) -> list[str] | None:
    """The folders in the order in which one of equal names is used. None if all are shown."""
    order: list[str] = []
    left = list(folders)
    while left:
        shown = set(probe.shown([Skill(folder, "same") for folder in left]))
        if len(shown) > 1:
            return None
        if not shown:
            break
        order.append(left.pop(shown.pop()))
    return order


def times_shown_over_links(probe: Probe, folders: list[str]) -> int:
    """How often a skill is shown whose folder is linked from each of these folders."""
    return len(probe.shown([Skill(folder, "linked", link="~/elsewhere") for folder in folders]))


def deepest_shown(probe: Probe, folder: str) -> int:
    """How many levels below the skills folder a skill is still shown; 1 is directly below it."""
    levels = range(1, DEEPEST + 1)
    skills = [Skill(folder, f"level-{level}", below="/".join(["group"] * (level - 1))) for level in levels]
    return max((index + 1 for index in probe.shown(skills)), default=0)


def needs_folder_of_name(probe: Probe, folder: str) -> bool:
    """Whether a skill is not shown whose folder has another name."""
    return not probe.shown([Skill(folder, "folder-name", written="other-name")])


def chars_shown(probe: Probe, folder: str, chars: int) -> int:
    """How many characters of a description of this length are shown, without the mark of the cut."""
    shown = probe.text([Skill(folder, "long", chars=chars)])
    found = re.search(r"marker-0-endx*", shown)
    return len(found[0]) if found else 0


def shown_from_parent(probe: Probe, folder: str) -> bool:
    """Whether a skill of the project is shown when the program is started in a folder of the project."""
    return bool(probe.shown([Skill(folder, "above")], below="part"))
