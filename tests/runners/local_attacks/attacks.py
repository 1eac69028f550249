"""The attacks. Each function yields attempts: a name and the problems that were found."""

import os
import shutil
import socket

from local_attacks.stage import SECRET, Swaps

DATA_FILES = (
    "start.lock", "clients.lock", "supervisor.lock", "server.lock", "postgres.log", "postgres.log.1", "pg_hba.conf", "pg_ident.conf",
    "run", "data/PG_VERSION", "data/postmaster.pid",
)
KINDS = ("link", "dangling link", "hard link", "pipe", "folder")
SKILL = "---\nname: tide\ndescription: Tells the tide.\n---\nRead references/guide.md.\n"
# Commands during which a folder is exchanged with a link.
RACES = 15


def plant(kind, path, target):
    """Puts something of this kind at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() or path.is_symlink():
        path.unlink()
    match kind:
        case "link":
            path.symlink_to(target)
        case "dangling link":
            path.symlink_to(target.parent / "created-by-root")
        case "hard link":
            # The kernel may forbid it to the attacker (fs.protected_hardlinks); not every kernel does.
            os.link(target, path)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))


def tenant_list(stage, data_folder):
    return stage.command("tenant", "list", "--data-dir", data_folder)


def data_files(stage):
    """Files in a data folder of the attacker, who also owns the cluster in it: what root would open."""
    for name in DATA_FILES:
        for kind in KINDS:
            folder = stage.new_folder()
            (folder / "data").mkdir()
            (folder / "data/PG_VERSION").write_text("15\n")
            (folder / "data").chmod(0o700)
            plant(kind, folder / name, stage.outside / "secret.md")
            stage.give(stage.attacker)
            yield f"{kind} at {name}", stage.problems(tenant_list(stage, folder))


def data_folders(stage):
    """Data folders that the attacker could replace. Each must be refused."""

    def refused(name, path):
        done = tenant_list(stage, path)
        problems = stage.problems(done)
        if done is not None and done.returncode == 0:
            problems.append("the data folder was accepted")
        return name, problems

    for depth in (1, 2, 3):
        folder = stage.new_folder()
        yield refused(f"data folder {depth} below a folder of the attacker", folder.joinpath(*["new"] * depth))
    for mode in (0o777, 0o757, 0o1777, 0o2777):
        folder = stage.folder / f"open-{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        yield refused(f"data folder with mode {mode:o}", folder)
        if not mode & 0o1000:
            yield refused(f"data folder below a folder with mode {mode:o}", folder / "data")
        shutil.rmtree(folder)
    for name, target in (("empty", "references"), ("cluster", ""), ("missing", "new")):
        folder = stage.new_folder()
        (folder / "data-folder").symlink_to(stage.outside / target)
        stage.give(stage.attacker)
        yield refused(f"link to root's folder ({name})", folder / "data-folder")
        yield refused(f"below a link to root's folder ({name})", folder / "data-folder/inner")
    folder = stage.new_folder()
    (folder / "data-folder").write_text("")
    yield refused("file in place of the data folder", folder / "data-folder")


def imports(stage):
    """Sources with files that lead out. Imported and exported again: no secret may be in the registry."""
    for place in ("SKILL.md", "references/guide.md", "references", ".gitignore", ".claude-plugin/plugin.json", "_meta.json", "notes"):
        for kind in ("link", "dangling link", "hard link", "pipe", "socket"):
            source = stage.new_folder()
            (source / "tide").mkdir()
            (source / "tide/SKILL.md").write_text(SKILL)
            target = stage.outside / ("references" if place == "references" and kind == "link" else "secret.md")
            plant(kind, source / "tide" / place, target)
            os.chown(source, stage.uid, stage.gid)
            stage.give(stage.attacker)
            done = stage.command("import", source, "--source", f"{stage.number}")
            yield f"import with a {kind} at {place}", stage.problems(done)
    for place in ("manifest.json", "tables/skills.jsonl", "tables/skill_versions.jsonl", "files/" + "0" * 64):
        for kind in ("link", "pipe"):
            source = stage.new_folder()
            for name in ("manifest.json", "tables/skills.jsonl", "tables/skill_versions.jsonl", "tables/skill_files.jsonl"):
                (source / name).parent.mkdir(exist_ok=True)
                (source / name).write_text("")
            (source / "files").mkdir()
            plant(kind, source / place, stage.outside / "secret.md")
            stage.give(stage.attacker)
            done = stage.command("import", source, "--source", f"{stage.number}")
            yield f"import of an export with a {kind} at {place}", stage.problems(done)
    source = stage.new_folder()
    (source / "tide").mkdir()
    (source / "tide/SKILL.md").write_text(SKILL)
    (source / ".git").write_text(f"gitdir: {stage.outside}/.git\n")
    stage.give(stage.attacker)
    (stage.outside / ".git/config").write_text(f'[remote "origin"]\n\turl = https://host/{SECRET}\n')
    stage.before = stage.fingerprint()
    yield "import of a work tree of root's repository", stage.problems(stage.command("import", source))
    stage.reset_outside()


def import_races(stage):
    """A folder of the source is exchanged with a link while root imports it."""
    for number in range(2 * RACES):
        source = stage.new_folder()
        for name in ("tide/SKILL.md", "tide/references/guide.md"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(SKILL)
        place = source / ("tide/references" if number % 2 else "tide")
        link = source / "link"
        link.symlink_to(stage.outside / "references" if number % 2 else stage.outside)
        stage.give(stage.attacker)
        with Swaps(stage, place, link):
            done = stage.command("import", source, "--source", f"race-{number}")
        yield f"import while a folder is exchanged, {number + 1}", stage.problems(done)
    out = stage.folder / "export"
    done = stage.command("tenant", "export", "default", "--out", out)
    leaked = [path.name for path in out.rglob("*") if path.is_file() and SECRET in path.read_text(errors="replace")]
    problems = [f"a secret is in the registry: {', '.join(leaked)}"] if leaked else []
    if done is None or done.returncode != 0:
        problems.append("the registry could not be exported")
    shutil.rmtree(out, ignore_errors=True)
    yield "no secret of root is in the registry", problems


def connects(stage):
    """Configuration files of an assistant in the attacker's folder."""

    def connect(path, *more):
        return stage.command("connect", "cursor", "--url", "https://skills.example.com", "--config-file", path, *more)

    for kind in KINDS:
        for place in ("mcp.json", "inner/mcp.json"):
            folder = stage.new_folder()
            plant(kind, folder / place, stage.outside / "mcp.json")
            stage.give(stage.attacker)
            yield f"connect to a {kind} at {place}", stage.problems(connect(folder / place))
            done = stage.command("connect", "cursor", "--remove", "--config-file", folder / place)
            yield f"disconnect from a {kind} at {place}", stage.problems(done)
    for target in ("", "references", "new"):
        folder = stage.new_folder()
        (folder / "inner").symlink_to(stage.outside / target)
        stage.give(stage.attacker)
        yield f"connect below a link to /{target}", stage.problems(connect(folder / "inner/mcp.json"))
    for kind in ("link", "dangling link", "hard link", "pipe"):
        folder = stage.new_folder()
        (folder / "mcp.json").write_text("{}")
        backup = folder / "mcp.json.skillkeep-backup-20200101T000000Z"
        plant(kind, backup, stage.outside / "mcp.json")
        stage.give(stage.attacker)
        done = connect(folder / "mcp.json"), stage.command(
            "connect", "cursor", "--remove", "--config-file", folder / "mcp.json"
        )
        yield f"connect and disconnect with a {kind} as a backup", stage.problems(*done)
    for number in range(RACES):
        folder = stage.new_folder()
        (folder / "inner").mkdir()
        (folder / "inner/mcp.json").write_text("{}")
        (folder / "link").symlink_to(stage.outside)
        stage.give(stage.attacker)
        with Swaps(stage, folder / "inner", folder / "link"):
            done = [connect(folder / "inner/mcp.json") for _ in range(5)]
        yield f"connect while the folder is exchanged, {number + 1}", stage.problems(*done)


def exports(stage):
    """Exports into a folder of the attacker."""
    for kind in KINDS:
        folder = stage.new_folder()
        plant(kind, folder / "out", stage.outside / "secret.md")
        stage.give(stage.attacker)
        done = stage.command("tenant", "export", "default", "--out", folder / "out")
        problems = stage.problems(done)
        if done is not None and done.returncode == 0:
            problems.append("the export was written over something of the attacker")
        yield f"export to a {kind}", problems
    for number in range(RACES):
        folder = stage.new_folder()
        (folder / "link").symlink_to(stage.outside)
        stage.give(stage.attacker)
        # The export's own folder, or the one around it.
        around = number % 2
        if around:
            (folder / "around").mkdir()
            stage.give(stage.attacker)
        place = folder / ("around" if around else "out")
        with Swaps(stage, place, folder / "link"):
            done = stage.command("tenant", "export", "default", "--out", folder / ("around/out" if around else "out"))
        yield f"export while its folder is exchanged, {number + 1}", stage.problems(done)


def key_files(stage):
    """Files with API keys that others can read or replace, and arguments that others can see."""

    def call(*arguments, env=None):
        return stage.command("call", "whoami", "--url", "http://127.0.0.1:9", *arguments, env=env)

    folder = stage.new_folder()
    for mode in (0o604, 0o640, 0o660, 0o602, 0o644, 0o666):
        path = stage.folder / "key"
        path.write_text("skeep_" + "a" * 60)
        path.chmod(mode)
        done = call("--api-key-file", path)
        problems = stage.problems(done)
        # 0640 of root's own group is for root alone.
        if done is not None and "other accounts can read or change" not in done.stderr and mode != 0o640:
            problems.append(f"a key file with mode {mode:o} was accepted")
        yield f"key file with mode {mode:o}", problems
        path.unlink()
    for kind in KINDS:
        if kind == "pipe":
            continue
        path = folder / kind.replace(" ", "-")
        plant(kind, path, stage.outside / "secret.md")
        yield f"key file that is a {kind}", stage.problems(call("--api-key-file", path))
    path = folder / "theirs"
    path.write_text("skeep_" + "a" * 60)
    path.chmod(0o600)
    os.chown(path, stage.uid, stage.gid)
    done = call("--api-key-file", path)
    problems = stage.problems(done)
    if done is not None and "belongs to the account" not in done.stderr:
        problems.append("a key file of the attacker was accepted")
    yield "key file of the attacker", problems
    for command in ("stdio", "bridge", "call", "publish", "connect"):
        done = stage.command(command, "--help")
        shows = "--api-key <" in done.stdout or "--api-key " in done.stdout
        yield f"{command} takes no key as an argument", ["--api-key is an option"] if shows else []


def sockets(stage, socket_folder):
    """Connections to root's database."""
    roles = ("skillkeep_superuser", "skillkeep_owner", "skillkeep_admin", "skillkeep_app")
    query = "SELECT 'connected as ' || current_user"

    def attempt(role):
        done = stage.as_attacker(["psql", "-h", socket_folder, "-U", role, "-d", "postgres", "-Atc", query])
        return ["the attacker reached the database"] if "connected as" in done.stdout else []

    for role in roles:
        yield f"connect to the database as {role}", attempt(role)
    mode = os.stat(socket_folder).st_mode & 0o7777
    os.chmod(socket_folder, 0o755)
    try:
        entry = os.path.join(socket_folder, ".s.PGSQL.5432")
        os.chmod(entry, 0o777)
        for role in roles:
            yield f"connect as {role} to a socket that everyone can open", attempt(role)
        os.chmod(entry, 0o700)
    finally:
        os.chmod(socket_folder, mode)
