"""PostgreSQL with TLS, and PgBouncer, in a temporary folder."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

from common.errors import CannotRun
from common.process import free_port, run_checked, stop_group

START_SECONDS = 30
PASSWORD = "marzipan"
OWNER = "registry_owner"
HBA = """\
local all all trust
hostssl all with_certificate 127.0.0.1/32 cert
host all all 127.0.0.1/32 scram-sha-256
"""
ROLES = f"""
CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD '{PASSWORD}';
CREATE ROLE skillkeep_app LOGIN PASSWORD '{PASSWORD}';
CREATE ROLE skillkeep_admin LOGIN PASSWORD '{PASSWORD}';
GRANT skillkeep_app TO skillkeep_admin;
GRANT skillkeep_admin TO {OWNER} WITH ADMIN OPTION;
CREATE ROLE with_certificate LOGIN IN ROLE skillkeep_admin;
CREATE DATABASE registry OWNER {OWNER};
"""


def require(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise CannotRun(f"not installed: {', '.join(missing)}; on Debian, apt-get install openssl postgresql pgbouncer")


def postgres_programs():
    """The folder of initdb and postgres: SKILLKEEP_PG_BIN, or the newest version installed."""
    named = os.environ.get("SKILLKEEP_PG_BIN")
    candidates = [Path(named)] if named else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    in_path = shutil.which("initdb")
    if in_path:
        candidates.append(Path(in_path).resolve().parent)
    for folder in candidates:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise CannotRun("PostgreSQL's programs were not found; install PostgreSQL or set SKILLKEEP_PG_BIN")


def account():
    """The options of a process that must not run as root, and its owner's ids."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def give_away(path):
    options = account()
    if options:
        os.chown(path, options["user"], options["group"])


def openssl(folder, *arguments):
    return run_checked("openssl", ["openssl", *arguments], seconds=60, cwd=folder)


def make_certificates(folder):
    """authority.crt, and server.crt for localhost and client.crt for the role with_certificate, which it signed."""
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "authority.key", "-out", "authority.crt",
            "-days", "2", "-subj", "/CN=test authority", "-addext", "basicConstraints=critical,CA:TRUE")
    for name, subject, extension in [
        ("server", "/CN=localhost", "subjectAltName=DNS:localhost"),
        ("client", "/CN=with_certificate", "extendedKeyUsage=clientAuth"),
    ]:
        openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        (folder / f"{name}.ext").write_text(extension + "\n")
        # SHA-384, so that the channel binding cannot succeed with the most common hash only.
        openssl(folder, "x509", "-req", "-sha384", "-in", f"{name}.csr", "-CA", "authority.crt", "-CAkey", "authority.key",
                "-CAcreateserial", "-days", "2", "-out", f"{name}.crt", "-extfile", f"{name}.ext")
    for path in folder.iterdir():
        path.chmod(0o600 if path.suffix == ".key" else 0o644)
    shutil.copy(folder / "client.key", folder / "readable.key")
    (folder / "readable.key").chmod(0o644)
    give_away(folder / "server.key")


class Postgres:
    def __init__(self, folder, certificates):
        self.folder, self.port = folder, free_port()
        self.programs = postgres_programs()
        give_away(folder)
        data = folder / "data"
        run_checked("initdb", [self.programs / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--no-sync"],
                    seconds=120, cwd="/", **account())
        (data / "pg_hba.conf").write_text(HBA)
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "off",
            "ssl": "on", "ssl_cert_file": certificates / "server.crt", "ssl_key_file": certificates / "server.key",
            "ssl_ca_file": certificates / "authority.crt", "password_encryption": "scram-sha-256",
        }
        command = [self.programs / "postgres", "-D", data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.log = open(folder / "postgres.log", "wb")
        self.process = subprocess.Popen(command, cwd="/", stdout=self.log, stderr=self.log, start_new_session=True, **account())

    def sql(self, text, database="postgres"):
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port), "-U", "postgres", "-d", database]
        return run_checked("psql", command, seconds=30, input=text)

    def wait(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self.sql("SELECT 1;")
            except CannotRun:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "postgres.log").read_text(errors="replace")
                    raise CannotRun(f"PostgreSQL did not start:\n{log[-2000:]}") from None
                time.sleep(0.1)

    def stop(self):
        stop_group(self.process)
        self.log.close()


class PgBouncer:
    """A pooler in front of the cluster. The users' passwords are known to it, as SCRAM needs."""

    def __init__(self, folder, postgres, pool_mode):
        self.port = free_port()
        users = folder / "users.txt"
        users.write_text("".join(f'"{role}" "{PASSWORD}"\n' for role in (OWNER, "skillkeep_app", "skillkeep_admin")))
        configuration = folder / f"{pool_mode}.ini"
        configuration.write_text(f"""\
[databases]
registry = host=127.0.0.1 port={postgres.port} dbname=registry
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = {pool_mode}
""")
        self.log = open(folder / "pgbouncer.log", "ab")
        program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
        self.process = subprocess.Popen([program, configuration], cwd="/", stdout=self.log, stderr=self.log,
                                        start_new_session=True, **account())
        self.wait(folder)

    def wait(self, folder):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = (folder / "pgbouncer.log").read_text(errors="replace")
                    raise CannotRun(f"PgBouncer did not start:\n{log[-2000:]}") from None
                time.sleep(0.05)

    def stop(self):
        stop_group(self.process)
        self.log.close()
