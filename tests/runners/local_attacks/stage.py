"""The folders of an attack: one of the attacker, one of root that must stay as it is, and what is known of its content."""

import hashlib
import os
import pwd
import shutil
import subprocess

from common.errors import CannotRun
from common.skillkeep import clean_environment

ATTACKER = "nobody"
COMMAND_SECONDS = 120
# In every file of root, and in nothing that the attacker writes.
SECRET = "secret-of-root-7f3a"


def attacker_ids():
    try:
        account = pwd.getpwnam(ATTACKER)
    except KeyError as error:
        raise CannotRun(f"this system has no account `{ATTACKER}`") from error
    return account.pw_uid, account.pw_gid


class Stage:
    """Prepares attempts and compares root's folder before and after."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        self.uid, self.gid = attacker_ids()
        self.outside = folder / "outside"
        self.attacker = folder / "attacker"
        self.env = clean_environment(os.environ) | {"HOME": str(folder / "home")}
        self.number = 0
        self.reset_outside()

    def reset_outside(self):
        """Root's files: private, and with the names that attacks lead to."""
        shutil.rmtree(self.outside, ignore_errors=True)
        for name in ("", "references", ".git", "data"):
            (self.outside / name).mkdir(parents=True, exist_ok=True)
        for name in ("SKILL.md", "secret.md", "references/guide.md", ".git/config", "mcp.json", "data/PG_VERSION"):
            (self.outside / name).write_text(f"---\nname: {SECRET}\ndescription: {SECRET}\n---\n{SECRET}\n")
            (self.outside / name).chmod(0o600)
        (self.outside / "mcp.json").write_text(f'{{"mcpServers": {{}}, "note": "{SECRET}"}}\n')
        self.before = self.fingerprint()

    def fingerprint(self):
        """Names, modes, owners, numbers of names and contents of everything outside."""
        found = {}
        for path in sorted([self.outside, *self.outside.rglob("*")]):
            stat = path.lstat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path.relative_to(self.outside))] = (stat.st_mode, stat.st_uid, digest)
        return found

    def new_folder(self):
        """An empty folder of the attacker, new for each attempt."""
        shutil.rmtree(self.attacker, ignore_errors=True)
        self.number += 1
        folder = self.attacker / str(self.number)
        folder.mkdir(parents=True)
        self.give(self.attacker)
        return folder

    def give(self, folder):
        """Makes the attacker the owner of a folder and of everything in it; links themselves, not their targets."""
        for path in [folder, *folder.rglob("*")]:
            if path.is_symlink() or path.lstat().st_nlink == 1 or path.is_dir():
                os.lchown(path, self.uid, self.gid)

    def command(self, *arguments, env=None, stdin=""):
        """Runs the program as root. Time-outs count as a result: an attack must not block root either."""
        try:
            return subprocess.run(
                [self.program, *map(str, arguments)], input=stdin, capture_output=True, text=True, errors="replace",
                timeout=COMMAND_SECONDS, env=self.env | (env or {}), cwd="/",
            )
        except subprocess.TimeoutExpired:
            return None

    def as_attacker(self, command, **options):
        """Runs a command as the attacker."""
        return subprocess.run(
            command, user=self.uid, group=self.gid, extra_groups=[], capture_output=True, text=True, timeout=60, cwd="/",
            **options,
        )

    def problems(self, *done):
        """What the attempt read or wrote outside; empty if nothing."""
        problems = []
        after = self.fingerprint()
        if after != self.before:
            changed = {name for name in after.keys() | self.before.keys() if after.get(name) != self.before.get(name)}
            problems.append(f"changed outside: {len(changed)} names, such as {', '.join(sorted(changed)[:5])}")
            self.reset_outside()
        for result in done:
            if result is None:
                problems.append(f"a command did not end within {COMMAND_SECONDS} s")
            elif SECRET in result.stdout + result.stderr:
                problems.append("a command printed a secret")
            elif result.returncode < 0:
                problems.append(f"a command ended by signal {-result.returncode}: {result.stderr[-300:]}")
        problems += self.leaks()
        return problems

    def leaks(self):
        """Files of the attacker that hold a secret of root."""
        leaks = []
        for path in self.attacker.rglob("*") if self.attacker.exists() else []:
            stat = path.lstat()
            is_theirs = not path.is_symlink() and path.is_file() and stat.st_nlink == 1
            if is_theirs and SECRET in path.read_text(errors="replace") and stat.st_mode & 0o044 | (stat.st_uid == self.uid):
                leaks.append(f"the attacker can read a secret in {path.name}")
        return leaks


SWAPPER = r"""
import os, sys
place, other, aside, limit = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
for _ in range(limit):
    try:
        os.rename(place, aside)
        os.rename(other, place)
        os.rename(place, other)
        os.rename(aside, place)
    except OSError:
        break
"""


class Swaps:
    """Exchanges `place` with the link `other`, as the attacker, until the end of the block or 1,000,000 times."""

    def __init__(self, stage, place, other):
        self.command = ["python3", "-c", SWAPPER, str(place), str(other), f"{place}.aside", "1000000"]
        self.stage = stage

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, user=self.stage.uid, group=self.stage.gid, extra_groups=[], cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
