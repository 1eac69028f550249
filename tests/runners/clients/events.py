"""Compares the usage events of one client with the calls that it made."""

from clients.matrix import MCP_REMOTE, OLD
from common.errors import expect_equal


def expected_client(row, name, version):
    """The client's name and version in an event; the version is None where it is not checked."""
    if row.transport == "http" and row.version == OLD and row.user_agent:
        return row.user_agent, None
    if row.package == MCP_REMOTE:
        return f"{name} (via {row.package.replace('@', ' ')})", version
    return name, version


def check_events(events, calls, row, name, version):
    """`calls` are the expected (tool, outcome) pairs, in order."""
    expect_equal("the events", [(event["tool"], event["outcome"]) for event in events], calls)
    client_name, client_version = expected_client(row, name, version)
    for event in events:
        expect_equal("an event's transport", event["transport"], row.transport)
        expect_equal("an event's protocol version", event["protocol_version"], row.version)
        expect_equal("an event's client", event["client_name"], client_name)
        if client_version is not None:
            expect_equal("an event's client version", event["client_version"], client_version)
