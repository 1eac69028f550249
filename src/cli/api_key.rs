//! The API key in `SKILLKEEP_API_KEY`, for the commands that act as a client.

use crate::config::Secret;
use crate::error::{CliError, CliErrorKind};
use crate::tenancy::ApiKey;

/// The environment variable that holds the API key.
pub(super) const VARIABLE: &str = "SKILLKEEP_API_KEY";

/// Parses the API key that the command was started with.
pub(super) fn required(given: Option<&Secret>) -> Result<ApiKey, CliError> {
    match given.map(Secret::reveal) {
        Some(text) if !text.trim().is_empty() => parse(text),
        Some(_) | None => Err(CliError::new(
            CliErrorKind::Usage,
            format!("{VARIABLE} is not set; set it in the environment of the assistant's configuration"),
        )),
    }
}

/// Parses the API key of a command that a person runs.
pub(super) fn required_for_call(given: Option<&Secret>) -> Result<ApiKey, CliError> {
    match given.map(Secret::reveal) {
        Some(text) if !text.trim().is_empty() => parse(text),
        Some(_) | None => Err(CliError::new(
            CliErrorKind::Usage,
            format!(
                "{VARIABLE} is not set; `skillkeep key create --user EMAIL` prints a key, set it in the environment"
            ),
        )),
    }
}

pub(super) fn parse(text: &str) -> Result<ApiKey, CliError> {
    text.parse::<ApiKey>()
        .map_err(|error| CliError::new(CliErrorKind::Usage, format!("{VARIABLE} is not valid: {error}")))
}
