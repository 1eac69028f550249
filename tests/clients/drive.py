"""Lets `run` steer the Python SDK, either major version: a JSON command a line in, a JSON answer a line out."""

import asyncio
import contextlib
import json
import os
import sys

import mcp
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

OLD = "2025-11-25"


def transport(order):
    if order["transport"] == "stdio":
        command, *args = order["command"]
        return mcp.stdio_client(mcp.StdioServerParameters(command=command, args=args, env=order["env"]))
    http = create_mcp_http_client(headers={"Authorization": f"Bearer {order['key']}"})
    return streamable_http_client(order["url"], http_client=http)


@contextlib.asynccontextmanager
async def connect(order):
    """Yields the client and the protocol revision that was agreed on."""
    info = mcp.types.Implementation(**order["client"])
    if hasattr(mcp, "Client"):
        mode = "legacy" if order["revision"] == OLD else "auto"
        async with mcp.Client(transport(order), client_info=info, mode=mode) as client:
            yield client, client.protocol_version
    else:
        async with transport(order) as (read, write, *_), mcp.ClientSession(read, write, client_info=info) as session:
            yield session, (await session.initialize()).protocolVersion


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
                else:
                    result = await client.call_tool(command["name"], command["arguments"])
                answer = {"result": plain(result)}
            except failure as error:
                answer = {"error": {"code": error.error.code, "message": error.error.message}}
            print(json.dumps(answer), flush=True)


asyncio.run(main())
