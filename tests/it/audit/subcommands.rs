//! Every subcommand is known to write an audit entry, or to write none.

use std::collections::BTreeSet;

use crate::command::{CommandOutput, program};

/// The subcommands that the help of a command lists.
fn subcommands(command: &[&str]) -> BTreeSet<String> {
    let help = CommandOutput::of(&mut program(&[command, &["--help"]].concat())).out;
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    let list = list.split("\n\n").next().unwrap_or_default();
    list.lines()
        // Continuation lines of descriptions are indented further.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(|name| [command, &[name]].concat().join(" "))
        .collect()
}

#[test]
fn every_subcommand_is_known_to_write_an_entry_or_not() {
    let groups = [
        "tenant",
        "user",
        "key",
        "audit",
        "usage",
        "skill",
        "settings",
        "share",
        "signing-key",
        "deny",
        "search",
        "installs",
        "distribute",
        "group",
    ];
    let mut found = subcommands(&[]);
    for group in groups {
        assert!(found.remove(group), "{found:?}");
        found.extend(subcommands(&[group]));
    }
    // The tests below run these.
    let with_entry = [
        "tenant create",
        "tenant set",
        "tenant suspend",
        "tenant resume",
        "tenant export",
        "tenant erase",
        "user create",
        "user suspend",
        "user resume",
        "key create",
        "key limit",
        "key rotate",
        "key revoke",
        "share create",
        "share revoke",
        "import",
        "usage prune",
        "audit export",
        "quickstart",
        "publish",
        "skill fork",
        "skill submit",
        "skill yank",
        "skill archive",
        "skill restore",
        "skill remove",
        "skill rename",
        "skill transfer",
        "skill deprecate",
        "skill override",
        "skill rescan",
        "skill purge",
        "skill publish",
        "settings set",
        "signing-key create",
        "deny add",
        "deny remove",
        "distribute remove",
        "group create",
        "group add",
        "group remove",
        "recall",
        "signing-key retire",
        "signing-key sign-missing",
    ];
    // These change nothing of a tenant.
    let without_entry = [
        "tenant list",
        "user list",
        "key list",
        "key inspect",
        "share list",
        "usage events",
        "audit tail",
        "audit verify",
        "audit check",
        "audit keygen",
        "skill list",
        "skill show",
        "skill search",
        "skill files",
        "skill diff",
        "skill history",
        "settings list",
        "settings get",
        "signing-key list",
        "deny list",
        "installs list",
        "installs affected",
        "distribute list",
        "group list",
        "signing-key export",
        "scan",
        // The index is derived from the skills.
        "search status",
        "search check",
        "search rebuild",
        "search report",
        "search embed",
        "search eval",
        // They change the user's own disk.
        "add",
        "remove",
        "list",
        "update",
        "outdated",
        "verify",
        "sync",
        "why",
        "rollback",
        "pin",
        "trust",
        "login",
        "logout",
        // Tools write their own entries.
        "call",
        "test",
        "serve",
        "stdio",
        "bridge",
        "connect",
        "migrate",
        "doctor",
        "completions",
    ];
    let known: BTreeSet<String> = with_entry
        .iter()
        .chain(&without_entry)
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, known);
}
