//! How a run of the command line ends badly: one sentence for the person, one exit code for the script.

use std::fmt;

/// What kind of failure it was; the exit codes are part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CliErrorKind {
    /// The command ran and found something wrong: `doctor`, `audit verify`, `import`.
    Findings,
    /// The command line or the configuration is not right.
    Usage,
    /// What was named does not exist.
    NotFound,
    /// It cannot be done as things are: taken, ended, not allowed.
    Refused,
    /// The database is not there or does not answer.
    Unavailable,
    /// The database's schema is not this program's.
    Schema,
    /// Our own fault.
    Internal,
}

impl CliErrorKind {
    /// The exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Findings => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Unavailable => 5,
            Self::Schema => 6,
            Self::Internal => 70,
        }
    }
}

/// The end of a run that did not go well.
#[derive(Debug, Clone)]
pub struct CliError {
    kind: CliErrorKind,
    message: String,
}

impl CliError {
    /// A failure of this kind, with a sentence that says what happened and what to do.
    #[must_use]
    pub fn new(kind: CliErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> CliErrorKind {
        self.kind
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}
