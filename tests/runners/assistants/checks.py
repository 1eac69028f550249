"""The columns of the table that are compared with a program. Each check returns what differs, or None."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from assistants.probe import (
    DEEPEST, Probe, Skill, chars_shown, deepest_shown, folders_shown, needs_folder_of_name, order_of_equal_names,
    shown_from_parent, times_shown_over_links,
)

# A cut description ends with "…" or "...", which counts.
CUT_MARK_CHARS = 3


def differing(what: str, shown: object, expected: object) -> str | None:
    """A sentence if the two differ."""
    return None if shown == expected else f"{what}: the program shows {shown}, the table says {expected}"


def folders(probe: Probe, row: dict) -> str | None:
    """Exactly the folders of the row are read, of all folders of the table."""
    shown = folders_shown(probe, row["candidates"])
    return differing("folders", sorted(shown), sorted(row["project"] + row["user"]))


def equal_names(probe: Probe, row: dict) -> str | None:
    """Which one of equal names is used."""
    user, project = row["user"], row["project"]
    order = order_of_equal_names(probe, project + user)
    match row["equal_names"]:
        case "all-shown":
            return differing("equal names", order, None)
        case "user-hides-project":
            return differing("equal names", order, user + project)
        case "project-hides-user":
            return differing("equal names", order, project + user)
        case "undetermined":
            return differing("equal names", order is not None and len(order), len(project + user))
    return "equal names: the table does not say what is used; add what the program does"


def links(probe: Probe, row: dict) -> str | None:
    """A linked skill is shown once, also over two folders."""
    read = row["project"] + row["user"]
    times = [times_shown_over_links(probe, read[:1]), times_shown_over_links(probe, read[:2])]
    expected = {"followed-once": [1, 1], "followed": [1, 2], "not-followed": [0, 0]}.get(row["links"])
    return differing("times that a linked skill is listed from one and from two folders", times, expected)


def depth(probe: Probe, row: dict) -> str | None:
    """How deep a skill may be below each of the folders."""
    for folder in row["project"][:1] + row["user"][:1]:
        # -1 is any depth; the probe ends at its own.
        expected = DEEPEST if row["depth"] == -1 else row["depth"]
        if found := differing(f"levels below {folder}", deepest_shown(probe, folder), expected):
            return found
    return None


def folder_name(probe: Probe, row: dict) -> str | None:
    """Whether the folder must be called like the skill."""
    needs = needs_folder_of_name(probe, row["project"][0])
    return differing("folder needs the skill's name", needs, row["skill_name"] == "front-matter-and-folder")


def description(probe: Probe, row: dict) -> str | None:
    """Where a description is cut."""
    limit = row["description_limit"]["chars"]
    shown = chars_shown(probe, row["project"][0], limit * 2)
    is_cut_there = limit - CUT_MARK_CHARS <= shown <= limit
    return None if is_cut_there else f"description: the program shows {shown} characters, the table says {limit}"


def moved(probe: Probe, row: dict) -> str | None:
    """The variables that replace a folder."""
    for variable in row["moved"]:
        was = variable["replaces"]
        before = [folder for folder in row["user"] if folder.startswith(f"{was}/")]
        after = [folder.replace(was, "~/moved", 1) for folder in before]
        skills = [Skill(folder, f"skill-{index}") for index, folder in enumerate(after + before)]
        shown = {(after + before)[index] for index in probe.shown(skills, {variable["variable"]: "~/moved"})}
        if found := differing(variable["variable"], sorted(shown), sorted(after)):
            return found
    return None


def added(probe: Probe, row: dict) -> str | None:
    """The variables that name more folders."""
    for variable in row["added"]:
        names = ["~/one", "~/two"] if variable["separator"] else ["~/one"]
        expected = [str(Path(name, variable["below"])) for name in names]
        skills = [Skill(folder, f"skill-{index}") for index, folder in enumerate(expected)]
        value = (variable["separator"] or "").join(names)
        shown = {expected[index] for index in probe.shown(skills, {variable["variable"]: value})}
        if found := differing(variable["variable"], sorted(shown), sorted(expected)):
            return found
    return None


def parents(probe: Probe, row: dict) -> str | None:
    """Whether a project folder above the working folder is read."""
    return differing("folders above are read", shown_from_parent(probe, row["project"][0]), row["reads_parents"])


CHECKS = (folders, equal_names, links, depth, folder_name, description, moved, added, parents)


def every_check(probe: Probe, row: dict) -> Iterator[tuple[str, str | None]]:
    """Each check's name, and what differs. A check for which the row has no value is left out."""
    without_value = {column for column in ("moved", "added") if not row[column]}
    if row["description_limit"] is None:
        # Programs wrap long texts in their lists, so that no cut would not be seen.
        without_value.add("description")
    for check in CHECKS:
        if check.__name__ in without_value:
            continue
        yield check.__name__.replace("_", " "), attempt(check, probe, row)


def attempt(check, probe: Probe, row: dict) -> str | None:
    """What differs; a program that gives no list differs too."""
    try:
        return check(probe, row)
    except (subprocess.TimeoutExpired, ValueError, OSError) as error:
        return f"{check.__name__}: the program gave no list: {error}"
