"""Runs the commands of the client check with the Python SDK (either major version).

Reads one JSON command per line and writes one JSON answer per line. CLIENT_CONFIG has the connection as JSON.
"""

import asyncio
import contextlib
import json
import os
import sys

import mcp
from mcp.client.sse import sse_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

OLD = "2025-11-25"


def transport(config):
    if config["transport"] == "stdio":
        command, *args = config["command"]
        return mcp.stdio_client(mcp.StdioServerParameters(command=command, args=args, env=config["env"]))
    if config["transport"] == "sse":
        return sse_client(config["url"], headers={"Authorization": f"Bearer {config['api_key']}"})
    http = create_mcp_http_client(headers={"Authorization": f"Bearer {config['api_key']}"})
    return streamable_http_client(config["url"], http_client=http)


@contextlib.asynccontextmanager
async def connect(config):
    """Yields the client and the negotiated protocol version."""
    info = mcp.types.Implementation(**config["client"])
    mode = "legacy" if config["protocol_version"] == OLD else "auto"
    if config["package"].startswith("fastmcp"):
        async with open_fastmcp(config, info, mode) as client:
            yield FastClient(client), client.protocol_version
    elif hasattr(mcp, "Client"):
        async with mcp.Client(transport(config), client_info=info, mode=mode) as client:
            yield client, client.protocol_version
    else:
        async with transport(config) as (read, write, *_), mcp.ClientSession(read, write, client_info=info) as session:
            yield session, (await session.initialize()).protocolVersion


def open_fastmcp(config, info, mode):
    import fastmcp
    from fastmcp.client import transports

    headers = {"Authorization": f"Bearer {config['api_key']}"}
    command, *args = config["command"]
    transport = {
        "stdio": lambda: transports.StdioTransport(command, args, env=config["env"], keep_alive=False),
        "http": lambda: transports.StreamableHttpTransport(config["url"], headers=headers),
        "sse": lambda: transports.SSETransport(config["url"], headers=headers),
    }[config["transport"]]()
    return fastmcp.Client(transport, client_info=info, mode=mode)


class FastClient:
    """fastmcp's methods that return the protocol's results, under the SDK's names."""

    def __init__(self, client):
        self.list_tools, self.list_resources = client.list_tools_mcp, client.list_resources_mcp
        self.call_tool, self.read_resource = client.call_tool_mcp, client.read_resource_mcp


def plain(result):
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def main():
    failure = getattr(mcp, "MCPError", None) or mcp.McpError
    async with connect(json.loads(os.environ["CLIENT_CONFIG"])) as (client, version):
        print(json.dumps({"protocol_version": version}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            command = json.loads(line)
            try:
                if command["method"] == "tools/list":
                    result = await client.list_tools()
                elif command["method"] == "resources/list":
                    result = await client.list_resources()
                elif command["method"] == "resources/read":
                    result = await client.read_resource(command["uri"])
                else:
                    result = await client.call_tool(command["name"], command["arguments"])
                answer = {"result": plain(result)}
            except failure as error:
                answer = {"error": {"code": error.error.code, "message": error.error.message}}
            print(json.dumps(answer), flush=True)


asyncio.run(main())
