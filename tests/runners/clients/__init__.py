"""Runs the official MCP clients against the program: each client, over each transport, in each protocol version.
Some of them run again with nginx in front of the server, below a path. Then clients install skills themselves; Claude Code does so in a network namespace, with TLS in front of the server.

SKILLKEEP_BIN names the program (default: target/debug/skillkeep). The clients are installed once, below target/clients.
The last line is "N passed, N failed". The exit code is 0 when all passed, 1 when one failed, and 2 when the check could
not be made.
"""
