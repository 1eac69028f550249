"""A second account of the machine attacks commands that root runs: links, hard links, pipes, names that are taken, changed modes, races.

Each attempt must leave everything outside of the attacker's own folder unread and unwritten. Needs root, which starts the attacker's
processes as the account `nobody`, and a built program (SKILLKEEP_BIN, or the release or debug build)."""
