"""Lets `run` steer the Python SDK, either major version: a JSON command a line in, a JSON answer a line out."""

import asyncio
import contextlib
import json
import os
import sys

import mcp
from mcp.client.sse import sse_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

OLD = "2025-11-25"


def transport(order):
    if order["transport"] == "stdio":
        command, *args = order["command"]
        return mcp.stdio_client(mcp.StdioServerParameters(command=command, args=args, env=order["env"]))
    if order["transport"] == "sse":
        return sse_client(order["url"], headers={"Authorization": f"Bearer {order['key']}"})
    http = create_mcp_http_client(headers={"Authorization": f"Bearer {order['key']}"})
    return streamable_http_client(order["url"], http_client=http)


@contextlib.asynccontextmanager
async def connect(order):
    """Yields the client and the protocol revision that was agreed on."""
    info = mcp.types.Implementation(**order["client"])
    mode = "legacy" if order["revision"] == OLD else "auto"
    if order["package"].startswith("fastmcp"):
        async with fast_client(order, info, mode) as client:
            yield Fast(client), client.protocol_version
    elif hasattr(mcp, "Client"):
        async with mcp.Client(transport(order), client_info=info, mode=mode) as client:
            yield client, client.protocol_version
    else:
        async with transport(order) as (read, write, *_), mcp.ClientSession(read, write, client_info=info) as session:
            yield session, (await session.initialize()).protocolVersion


def fast_client(order, info, mode):
    import fastmcp
    from fastmcp.client import transports

    headers = {"Authorization": f"Bearer {order['key']}"}
    command, *args = order["command"]
    way = {
        "stdio": lambda: transports.StdioTransport(command, args, env=order["env"], keep_alive=False),
        "http": lambda: transports.StreamableHttpTransport(order["url"], headers=headers),
        "sse": lambda: transports.SSETransport(order["url"], headers=headers),
    }[order["transport"]]()
    return fastmcp.Client(way, client_info=info, mode=mode)


class Fast:
    """fastmcp's methods that give the protocol's own results, under the names of the SDK."""

    def __init__(self, client):
        self.list_tools, self.list_resources = client.list_tools_mcp, client.list_resources_mcp
        self.call_tool, self.read_resource = client.call_tool_mcp, client.read_resource_mcp


def plain(result):
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def main():
    failure = getattr(mcp, "MCPError", None) or mcp.McpError
    async with connect(json.loads(os.environ["ORDER"])) as (client, revision):
        print(json.dumps({"revision": revision}), flush=True)
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
