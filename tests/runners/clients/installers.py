"""Clients that install skills themselves: by a secret path, or by an API key where they send one."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from clients.claude_code import CLAUDE_CODE, with_claude_code, write_skill
from clients.scenario import SAMPLE, SCOPES, folder_digests
from common.errors import CheckFailed, expect_equal
from common.install import NODE, node_modules
from common.paths import SAMPLES
from common.process import run_limited
from common.skillkeep import Skillkeep

SKILLS = "skills@1.7.4"
CLAWHUB = "clawhub@0.23.3"
INSTALL_SECONDS = 120
# Below a skill's folder, the client keeps a file of its own.
OWN_FOLDER = ".clawhub"
PUBLISHED = "from-clawhub"


@dataclass(frozen=True)
class Installer:
    """One line of the result table. `install` gets a `Context`, and returns pairs of a folder with installed skills, and the original
    of the one skill that must be in it; `None` for all samples."""

    package: str
    door: str
    install: Callable
    events: set
    scopes: str = SCOPES
    refused: frozenset = frozenset()


@dataclass(frozen=True)
class Context:
    """What a client is given."""

    skillkeep: Skillkeep
    modules: Path
    address: str
    key: str
    secret_path: str
    folder: Path

    def run(self, program, *arguments, codes=(0,)):
        return self.run_program([self.modules / ".bin" / "node", program], *arguments, codes=codes)

    def run_program(self, command, *arguments, env=None, codes=(0,)):
        """What a command prints, which must end with one of the codes."""
        env = {
            "HOME": str(self.folder), "PATH": os.environ["PATH"], "DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
            "CLAWHUB_DISABLE_TELEMETRY": "1",
        } | (env or {})
        command = [str(part) for part in [*command, *arguments]]
        done = run_limited(command, seconds=INSTALL_SECONDS, stderr=subprocess.STDOUT, cwd=self.folder, env=env)
        if done.code not in codes:
            text = f"{' '.join(arguments)} ended with {done.code}: {done.output[-1500:]}"
            raise CheckFailed(text.replace(self.secret_path, "/d/(hidden)").replace(self.key, "(hidden)"))
        return done.output


def install_modules():
    return node_modules("installers", [NODE, SKILLS, CLAWHUB, CLAUDE_CODE])


def with_skills(context):
    program = context.modules / "skills" / "bin" / "cli.mjs"
    context.run(program, "add", context.address + context.secret_path, "--all", "--yes", "--copy")
    return [(context.folder / ".agents" / "skills", None)]


def with_clawhub(context):
    program = context.modules / "clawhub" / "bin" / "clawdhub.js"
    # Each in a folder of its own: `update --all` looks at all skills in one.
    installed = context.folder / "installed"
    common = ["--registry", context.address, "--workdir", str(installed)]
    installed.mkdir()

    def run(*arguments, expected=""):
        printed = context.run(program, *common, *arguments)
        if expected not in printed:
            raise CheckFailed(f"clawhub {arguments[0]} does not print \"{expected}\": {printed[-500:]}")

    run("login", "--token", context.key, "--no-browser")
    run("search", "a test that fails only sometimes", expected=SAMPLE)
    run("install", SAMPLE)
    run("update", "--all", expected="up to date")
    (installed / "skills").rename(context.folder / "sample")
    own = context.folder / PUBLISHED
    write_skill(own, "First version")
    run("publish", str(own), expected=f"Published {PUBLISHED}@1.0.0")
    run("publish", str(own), expected="already published")
    run("install", PUBLISHED)
    write_skill(own, "Second version")
    run("publish", str(own), "--changelog", "It is better.", expected=f"Published {PUBLISHED}@1.0.1")
    run("update", PUBLISHED, expected="1.0.1")
    # Withdrawn and published again, so that it is found by who comes next.
    run("delete", PUBLISHED, "--yes", expected="Deleted")
    run("undelete", PUBLISHED, "--version", "1.0.1", "--yes", expected="Undeleted")
    return [(context.folder / "sample", SAMPLES / SAMPLE), (installed / "skills", own)]


INSTALLERS = [
    Installer(SKILLS, "secret path", with_skills, {"skills/index", "skills/file_index", "skills/download", "skills/file"}),
    Installer(
        CLAWHUB, "API key", with_clawhub,
        {
            "clawhub/whoami", "clawhub/search", "clawhub/skill", "clawhub/resolve", "clawhub/upload_url", "clawhub/upload",
            "skills/download", "publish_skill", "yank_skill",
        },
        SCOPES + ",skills:publish",
        # It asks for a version of the skill that it then publishes.
        frozenset({"clawhub/resolve"}),
    ),
    Installer(CLAUDE_CODE, "both", with_claude_code, {"claude-code/marketplace", "claude-code/plugin"}),
]


def run_installer(skillkeep, url, number, installer):
    """Installs, and compares every byte. Returns the number of events that the client left."""
    email = f"installer-{number}@clients.example"
    key = skillkeep.create_key(email, installer.scopes)
    key_id = next(entry["id"] for entry in skillkeep.json("key", "list") if entry["email"] == email)
    secret_path = skillkeep.command("share", "create", "--key", key_id)
    folder = skillkeep.folder / f"installer-{number}"
    folder.mkdir()
    context = Context(skillkeep, install_modules(), url.removesuffix("/mcp"), key, secret_path, folder)
    for skills, original in installer.install(context):
        originals = [original] if original else [path for path in SAMPLES.iterdir() if path.is_dir()]
        names = sorted(path.name for path in originals)
        expect_equal("the installed skills", sorted(path.name for path in skills.iterdir()), names)
        for original in originals:
            found = {
                path: value
                for path, value in folder_digests(skills / original.name).items() if not path.startswith(OWN_FOLDER)
            }
            expect_equal(f"the files of {original.name}", found, folder_digests(original))
    events = [event for event in skillkeep.events() if event["email"] == email]
    refused = {event["tool"] for event in events if event["outcome"] != "ok"}
    expect_equal("the events of refused requests", refused, set(installer.refused))
    expect_equal("the names of the events", {event["tool"] for event in events}, installer.events)
    return len(events)
