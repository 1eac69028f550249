"""Clients that install skills themselves: by a secret path, or by an API key where they send one."""

import os
import subprocess
from dataclasses import dataclass
from typing import Callable

from clients.scenario import SAMPLE, SCOPES, folder_digests
from common.errors import CheckFailed, expect_equal
from common.install import NODE, node_modules
from common.paths import SAMPLES
from common.process import run_limited

SKILLS = "skills@1.7.4"
CLAWHUB = "clawhub@0.23.3"
INSTALL_SECONDS = 120
# Below a skill's folder, the client keeps a file of its own.
OWN_FOLDER = ".clawhub"


@dataclass(frozen=True)
class Installer:
    """One line of the result table. `install` gets the modules, the server's address, the key, the secret path and a runner of
    commands; it returns the folder of the skills, and the names of those that must be in it."""

    package: str
    door: str
    install: Callable
    events: set


def install_modules():
    return node_modules("installers", [NODE, SKILLS, CLAWHUB])


def with_skills(modules, address, _key, secret_path, folder, run):
    program = modules / "skills" / "bin" / "cli.mjs"
    run(program, "add", address + secret_path, "--all", "--yes", "--copy")
    return folder / ".agents" / "skills", sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())


def with_clawhub(modules, address, key, _secret_path, folder, run):
    program = modules / "clawhub" / "bin" / "clawdhub.js"
    common = ["--registry", address, "--workdir", str(folder)]
    run(program, *common, "login", "--token", key, "--no-browser")
    found = run(program, *common, "search", "a test that fails only sometimes")
    if SAMPLE not in found:
        raise CheckFailed(f"the search does not find {SAMPLE}: {found[-500:]}")
    run(program, *common, "install", SAMPLE)
    updated = run(program, *common, "update", "--all")
    if "up to date" not in updated:
        raise CheckFailed(f"the update does not recognise the installed version: {updated[-500:]}")
    return folder / "skills", [SAMPLE]


INSTALLERS = [
    Installer(SKILLS, "secret path", with_skills, {"skills/index", "skills/file_index", "skills/download", "skills/file"}),
    Installer(
        CLAWHUB, "API key", with_clawhub,
        {"clawhub/whoami", "clawhub/search", "clawhub/skill", "clawhub/resolve", "skills/download"},
    ),
]


def run_installer(skillkeep, url, number, installer):
    """Installs, and compares every byte. Returns the number of events that the client left."""
    modules = install_modules()
    email = f"installer-{number}@clients.example"
    key = skillkeep.create_key(email, SCOPES)
    key_id = next(
        entry["id"] for entry in skillkeep.json("key", "list") if entry["email"] == email
    )
    secret_path = skillkeep.command("share", "create", "--key", key_id)
    folder = skillkeep.folder / f"installer-{number}"
    folder.mkdir()

    def run(program, *arguments):
        env = {
            "HOME": str(folder), "PATH": os.environ["PATH"], "DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
            "CLAWHUB_DISABLE_TELEMETRY": "1",
        }
        command = [str(modules / ".bin" / "node"), str(program), *arguments]
        done = run_limited(command, seconds=INSTALL_SECONDS, stderr=subprocess.STDOUT, cwd=folder, env=env)
        if done.code != 0:
            output = done.output.replace(secret_path, "/d/(hidden)").replace(key, "(hidden)")
            raise CheckFailed(f"{installer.package} {arguments[0]} ended with {done.code}: {output[-1500:]}")
        return done.output

    skills, names = installer.install(modules, url.removesuffix("/mcp"), key, secret_path, folder, run)
    expect_equal("the installed skills", sorted(path.name for path in skills.iterdir()), names)
    for name in names:
        found = {
            path: value for path, value in folder_digests(skills / name).items() if not path.startswith(OWN_FOLDER)
        }
        expect_equal(f"the files of {name}", found, folder_digests(SAMPLES / name))
    events = [event for event in skillkeep.events() if event["email"] == email]
    expect_equal("the outcomes", {event["outcome"] for event in events}, {"ok"})
    expect_equal("the names of the events", {event["tool"] for event in events}, installer.events)
    return len(events)
