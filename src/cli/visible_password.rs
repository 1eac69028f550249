//! Refuses a password among the arguments, which every account of the machine can read while the program runs.

use std::ffi::OsString;

use crate::db::DatabaseUrl;
use crate::error::{CliError, CliErrorKind};

const OPTION: &str = "--database-url";
const REFUSED: &str = "the address of --database-url has a password, which every account of this machine can see; set DATABASE_URL instead";

/// Checks the arguments of the program.
///
/// # Errors
/// A [`CliError`] if the address of the database has a password. Says nothing of an address that cannot be read.
pub(super) fn check(arguments: impl Iterator<Item = OsString>) -> Result<(), CliError> {
    let arguments: Vec<String> = arguments
        .filter_map(|argument| argument.into_string().ok())
        .collect();
    let joined = arguments
        .iter()
        .filter_map(|argument| argument.strip_prefix(OPTION)?.strip_prefix('='));
    let apart = arguments.windows(2).filter_map(|pair| match pair {
        [option, value] if option == OPTION => Some(value.as_str()),
        _ => None,
    });
    let has_password = |address: &str| address.parse::<DatabaseUrl>().is_ok_and(|url| url.has_password());
    if joined.chain(apart).any(has_password) {
        return Err(CliError::new(CliErrorKind::Usage, REFUSED));
    }
    Ok(())
}
