"""Runs the official MCP conformance suite against the program, and against the same stack with the suite's fixtures.

SKILLKEEP_BIN names the program (default: target/debug/skillkeep). The fixture server is built beside it by
`cargo build --workspace --all-features --example conformance-server`. The suite is installed once, below
target/clients. The expected failures are listed with their reasons in tests/conformance/expected.
The last line is "N passed, N failed". The exit code is 0 when all passed, 1 when one failed, and 2 when the check could
not be made.
"""
