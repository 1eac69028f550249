//! Who may connect: `pg_hba.conf` and `pg_ident.conf` in the data folder, written at each start.

use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use super::error::EmbeddedError;
use super::os_account::OsAccount;
use super::own_files::replace;

const HBA_FILE: &str = "pg_hba.conf";
const IDENT_FILE: &str = "pg_ident.conf";
const MAP: &str = "clients";

/// The files as settings of PostgreSQL.
pub(super) fn settings(base: &Path) -> [(&'static str, PathBuf); 2] {
    [
        ("hba_file", base.join(HBA_FILE)),
        ("ident_file", base.join(IDENT_FILE)),
    ]
}

/// Lets this account, root and PostgreSQL's account connect as any of `roles`, and nobody else. The server asks the kernel for the
/// account of the process at the other end of the socket (PostgreSQL manual, "Peer Authentication").
pub(super) fn write(base: &Path, account: &OsAccount, roles: &[String]) -> Result<(), EmbeddedError> {
    let own = User::from_uid(Uid::effective()).ok().flatten();
    let mut accounts = vec!["root".to_owned()];
    accounts.extend(own.map(|user| user.name));
    if let OsAccount::Service { name, .. } = account {
        accounts.push(name.clone());
    }
    accounts.dedup();
    replace(base, IDENT_FILE, &map(&accounts, roles))?;
    // `all` does not include replication, which base backups use.
    let hba = format!(
        "# Written at each start.\nlocal all all peer map={MAP}\nlocal replication all peer map={MAP}\n"
    );
    replace(base, HBA_FILE, &hba)
}

/// One line for each pair. PostgreSQL 15 has no wildcard for roles.
fn map(accounts: &[String], roles: &[String]) -> String {
    let mut lines =
        "# Written at each start. Map, account of the operating system, role of the database.\n".to_owned();
    // A quote would end the name early, and a slash would make it a pattern.
    let is_plain = |name: &&String| !name.starts_with('/') && !name.contains(['"', '\n', '\\']);
    for account in accounts.iter().filter(is_plain) {
        for role in roles.iter().filter(is_plain) {
            lines.push_str(&format!("{MAP} \"{account}\" \"{role}\"\n"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_names_each_account_with_each_role_and_no_pattern() {
        let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let map = map(&names(&["root", "ada", "/.*", "a\"b"]), &names(&["owner", "app"]));
        let lines: Vec<&str> = map.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "clients \"root\" \"owner\"",
                "clients \"root\" \"app\"",
                "clients \"ada\" \"owner\"",
                "clients \"ada\" \"app\"",
            ]
        );
    }
}
