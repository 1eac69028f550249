"""The clients, and which transports and protocol versions each is tested with."""

import os
from dataclasses import dataclass

from common.install import NODE, node_modules, python_with

OLD, NEW = "2025-11-25", "2026-07-28"
INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"
TYPESCRIPT_2 = "@modelcontextprotocol/client@2.4.0"
TYPESCRIPT_1 = "@modelcontextprotocol/sdk@1.32.2"
PYTHON_2 = "mcp==2.3.0"
PYTHON_1 = "mcp==1.30.0"
FASTMCP = "fastmcp==4.1.2"
MCP_REMOTE = "mcp-remote@0.15.1"
BRIDGE = "skillkeep bridge"

# HTTP+SSE was removed from the protocol before the newer version.
ALL = [("stdio", OLD), ("stdio", NEW), ("http", OLD), ("http", NEW), ("sse", OLD)]
ALL_OLD = [("stdio", OLD), ("http", OLD), ("sse", OLD)]


@dataclass(frozen=True)
class Client:
    """`user_agent` is the HTTP library's name: without a session, the server sees no other in the older version."""

    package: str
    connections: list
    user_agent: str | None


CLIENTS = [
    Client(INSPECTOR, ALL, "node"),
    Client(TYPESCRIPT_2, ALL, "node"),
    Client(TYPESCRIPT_1, ALL_OLD, "node"),
    Client(PYTHON_2, ALL, "python-httpx2"),
    Client(PYTHON_1, ALL_OLD, "python-httpx"),
    Client(FASTMCP, ALL, "python-httpx2"),
    # Proxies from stdio to a remote server, used through the TypeScript SDK that speaks the protocol version.
    Client(MCP_REMOTE, [("http", OLD), ("sse", OLD)], "undici"),
    Client(BRIDGE, [("http", OLD), ("http", NEW)], None),
]


# An SDK of each language, and the bridge.
BEHIND_PROXY = {TYPESCRIPT_2, PYTHON_2, BRIDGE}


@dataclass(frozen=True)
class Row:
    """One line of the result table. `verify` is the Inspector's own check of every file of every skill; `behind_proxy` is with nginx
    between client and server."""

    package: str
    transport: str
    version: str
    user_agent: str | None
    verify: bool = False
    behind_proxy: bool = False

    @property
    def label(self):
        if self.behind_proxy:
            return f"{self.package} behind nginx"
        return f"{self.package} --verify" if self.verify else self.package


def rows(with_proxy):
    scenarios = [
        Row(client.package, transport, version, client.user_agent)
        for client in CLIENTS
        for transport, version in client.connections
    ]
    if with_proxy:
        scenarios += [
            Row(client.package, transport, version, client.user_agent, behind_proxy=True)
            for client in CLIENTS if client.package in BEHIND_PROXY
            for transport, version in client.connections if transport != "stdio"
        ]
    return scenarios + [Row(INSPECTOR, transport, version, None, verify=True) for transport, version in ALL]


def is_python(package):
    return "==" in package


def client_modules():
    return node_modules("node", [NODE, INSPECTOR, TYPESCRIPT_2, TYPESCRIPT_1, MCP_REMOTE])


def install_all():
    for client in CLIENTS:
        if is_python(client.package):
            python_with(client.package)
    client_modules()


def connection(skillkeep, url, number, row, api_key):
    """What the client is told: how to reach the server, and how to introduce itself."""
    config = {
        "package": row.package, "transport": row.transport, "protocol_version": row.version, "api_key": api_key,
        "url": url.removesuffix("/mcp") + "/sse" if row.transport == "sse" else url,
        "home": str(skillkeep.folder),
        "client": {"name": f"skillkeep-check-{number}", "version": "7.8.9"},
        "command": [str(skillkeep.program), "stdio"],
        "env": skillkeep.settings | {"SKILLKEEP_API_KEY": api_key},
    }
    if row.package not in (MCP_REMOTE, BRIDGE):
        return config
    if row.package == BRIDGE:
        command = [str(skillkeep.program), "bridge", url]
    else:
        modules = client_modules()
        command = [
            str(modules / ".bin" / "node"), str(modules / "mcp-remote" / "dist" / "proxy.js"), config["url"],
            "--transport", f"{row.transport}-only", "--allow-http", "--header", f"Authorization: Bearer {api_key}",
        ]
    return config | {
        "package": TYPESCRIPT_1 if row.version == OLD else TYPESCRIPT_2,
        "transport": "stdio",
        "command": command,
        # mcp-remote writes files into HOME.
        "env": {"HOME": str(skillkeep.folder), "PATH": os.environ["PATH"], "SKILLKEEP_API_KEY": api_key},
    }
