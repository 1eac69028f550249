"""Kills skillkeep and its PostgreSQL under load, and checks that no answer lacks its record and no effect its event.

Sixteen clients call tools over HTTP on a server with an embedded database of its own. Repeatedly, the server,
PostgreSQL's postmaster or one of its backends is killed with SIGKILL at a random time. After every kill:

- each answered call has exactly one usage event, with the outcome that the answer had;
- no call has two events, and no event belongs to an unknown call;
- each install and each usage report has the `ok` event of the same transaction, and each such event has its effect;
- each install or report that an answer named exists, and each idempotency key counted once.

Every check covers the whole history, so a kill must not damage what earlier rounds wrote. When the postmaster or a
backend is killed, the server process must survive.

SKILLKEEP_BIN names the program (default: target/release/skillkeep, else target/debug/skillkeep). SKILLKEEP_PG_BIN is
the folder of PostgreSQL's programs, psql among them (default: it is searched for).
The last line is "N passed, N failed". The exit code is 0 when all passed, 1 when one failed, and 2 when the check could
not be made.
"""
