//! The error of a command: a message for the person, an exit code for the script.

use std::fmt;

/// Determines the exit code, which is part of the command line's contract (docs/administer.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CliErrorKind {
    /// The command ran and found problems: `doctor`, `audit verify`, `import`, `call`, `test`.
    Findings,
    /// Invalid command line or configuration.
    Usage,
    NotFound,
    /// A conflict with existing data, or not permitted.
    Refused,
    /// The database or the registry is unreachable or does not answer.
    Unavailable,
    /// The database's schema has another version than this program.
    Schema,
    /// A bug in skillkeep, or a failed system call.
    Internal,
}

impl CliErrorKind {
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

/// A failed command.
#[derive(Debug, Clone)]
pub struct CliError {
    kind: CliErrorKind,
    message: String,
}

impl CliError {
    /// `message` says what happened and what to do. A second line may begin with `hint: `.
    #[must_use]
    pub fn new(kind: CliErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

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
