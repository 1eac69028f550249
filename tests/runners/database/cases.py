"""The addresses, and what skillkeep must do with each."""

from dataclasses import dataclass, field

from common.process import free_port
from database.servers import OWNER, PASSWORD

LIST = ("tenant", "list")
WHOAMI = ("call", "whoami")
REFUSED, UNAVAILABLE, WRONG_USAGE = 4, 5, 2


@dataclass(frozen=True)
class Case:
    name: str
    url: str
    code: int = 0
    # What stderr must contain.
    text: str = ""
    command: tuple = field(default=LIST)


def find_problem(case, code, output, errors):
    """What is wrong with the result of a case, or None."""
    if PASSWORD in output + errors:
        return "the output contains the password"
    if code != case.code:
        return f"exit code {code} instead of {case.code}"
    if case.text not in errors:
        return f'stderr does not contain "{case.text}"'
    if case.code != 0 and len(errors.strip().splitlines()) != 1:
        return "the error is not one line"
    return None


def with_tls(postgres, folder):
    root = f"sslrootcert={folder / 'authority.crt'}"
    port = postgres.port

    def url(host="localhost", *parameters, role=OWNER, password=PASSWORD, database="registry", port=port):
        secret = f":{password}" if password else ""
        return f"postgres://{role}{secret}@{host}:{port}/{database}?" + "&".join(parameters)

    certificate = f"sslcert={folder / 'client.crt'}"
    free = free_port()
    full = "sslmode=verify-full"
    return [
        Case("verify-full with the authority", url("localhost", full, root)),
        Case("verify-full with the server's own certificate", url("localhost", full, f"sslrootcert={folder / 'server.crt'}")),
        Case("require verifies too", url("localhost", "sslmode=require"), UNAVAILABLE, "does not trust"),
        Case("require with the authority", url("localhost", "sslmode=require", root)),
        Case("verify-full without the authority", url("localhost", full), UNAVAILABLE, "sslrootcert=FILE"),
        Case("verify-full with another name", url("127.0.0.1", full, root), UNAVAILABLE, "for another name"),
        Case("verify-ca with another name", url("127.0.0.1", "sslmode=verify-ca", root)),
        Case("disable", url("localhost", "sslmode=disable")),
        Case("allow on this machine", url("localhost", "sslmode=allow")),
        Case("an unknown mode", url("localhost", "sslmode=on"), WRONG_USAGE, "sslmode"),
        Case("channel binding over TLS", url("localhost", full, root, "channel_binding=require")),
        Case("channel binding without TLS", url("localhost", "sslmode=disable", "channel_binding=require"), UNAVAILABLE, "channel_binding"),
        Case("TLS 1.3 only", url("localhost", full, root, "ssl_min_protocol_version=TLSv1.3")),
        Case("a client certificate", url("localhost", full, root, certificate, f"sslkey={folder / 'client.key'}", role="with_certificate", password="")),
        Case("no client certificate", url("localhost", full, root, role="with_certificate", password=""), UNAVAILABLE, "valid client certificate"),
        Case("a key that others can read", url("localhost", full, root, certificate, f"sslkey={folder / 'readable.key'}", role="with_certificate", password=""), UNAVAILABLE, "chmod 600"),
        Case("a missing authority", url("localhost", full, "sslrootcert=/nonexistent"), UNAVAILABLE, "/nonexistent of sslrootcert"),
        Case("two hosts", f"postgres://{OWNER}:{PASSWORD}@127.0.0.1:{free},localhost:{port}/registry?sslmode=disable&connect_timeout=2"),
        Case("options and names", url("localhost", "options=-c%20statement_timeout%3D9s", "application_name=reports", "target_session_attrs=primary")),
        Case("a standby is asked for", url("localhost", "target_session_attrs=standby"), WRONG_USAGE, "target_session_attrs"),
        Case("pairs", f"host=localhost port={port} user={OWNER} password='{PASSWORD}' dbname=registry sslmode=verify-full {root}"),
        Case("a wrong password", url(password="nougat"), UNAVAILABLE, f"refuses the password of the role {OWNER}"),
        Case("no password", url(password=""), UNAVAILABLE, "asks for a password"),
        Case("a missing role", url(role="nobody_knows"), UNAVAILABLE, "refuses the password of the role nobody_knows"),
        Case("a missing database", url(database="absent"), UNAVAILABLE, 'database "absent" does not exist; create the database'),
        Case("a refused port", url(port=free), UNAVAILABLE, "refuses connections"),
        Case("an unknown host", url("host.invalid"), UNAVAILABLE, "no host of host.invalid"),
    ]


def behind_pooler(pool_mode, port):
    def url(role):
        return f"postgres://{role}:{PASSWORD}@127.0.0.1:{port}/registry"

    server, admin = url("skillkeep_app"), url("skillkeep_admin")
    serve = ("serve", "--listen", "127.0.0.1:0")
    if pool_mode == "session":
        return [Case("session: administration", admin), Case("session: a call", server, command=WHOAMI)]
    text = "pool_mode = session"
    return [
        Case(f"{pool_mode}: administration", admin, REFUSED, text),
        Case(f"{pool_mode}: serve", server, REFUSED, text, serve),
        Case(f"{pool_mode}: migrate", url(OWNER), REFUSED, text, ("migrate",)),
    ]
