"""Connects skillkeep to a PostgreSQL with TLS and through PgBouncer, with libpq's connection parameters.

A cluster of its own is started, with a certificate of an authority that this system does not know, and PgBouncer in front of
it, in each of its pool modes. Each case is an address in DATABASE_URL and what skillkeep must do with it: work, or end with an
exit code and a sentence that names the cause. No output may contain the password.

SKILLKEEP_BIN names the program (default: target/release/skillkeep, else target/debug/skillkeep). SKILLKEEP_PG_BIN is the
folder of PostgreSQL's programs (default: it is searched for). openssl, psql and pgbouncer must be installed.
The last line is "N passed, N failed". The exit code is 0 when all passed, 1 when one failed, and 2 when the check could
not be made.
"""
