//! The private keys of this process: a folder of files, or one text in `SKILLKEEP_SIGNING_KEY`.

use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::registry::private_keys::{KeyProblem, SigningKeys};

/// The environment variable that holds a private key. Never an argument: every account of the machine sees arguments.
const VARIABLE: &str = "SKILLKEEP_SIGNING_KEY";

/// The private keys that the command line or the environment names.
pub(super) fn configured(config: &Config) -> Result<SigningKeys, CliError> {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    match (&config.signing_keys, text.trim()) {
        (None, "") => Ok(SigningKeys::none()),
        (Some(folder), "") => SigningKeys::in_folder(folder).map_err(|problem| {
            refused(format!(
                "cannot use the signing keys in {}: {problem}",
                folder.display()
            ))
        }),
        (None, text) => SigningKeys::from_text(text)
            .map_err(|_: KeyProblem| refused(format!("{VARIABLE} is not an Ed25519 private key in PEM"))),
        (Some(_), _) => Err(CliError::new(
            CliErrorKind::Usage,
            format!("both --signing-keys and {VARIABLE} are set; use one of them"),
        )),
    }
}

fn refused(message: String) -> CliError {
    CliError::new(CliErrorKind::Refused, message)
}
