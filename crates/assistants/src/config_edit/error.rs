//! Why a configuration file is not changed.

/// The reason why the text was not edited.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// `line` counts from 1.
    #[error("line {line}: {reason}")]
    Syntax { line: usize, reason: String },
    #[error("{0} does not map names to values")]
    NotAMap(String),
    #[error("{0} is not a list")]
    NotAList(String),
    #[error("{0} is written on one line; write it as an indented block, or add the entry by hand")]
    InlineSection(String),
    #[error("the entry cannot be changed without changing something else; edit the file by hand")]
    Unsafe,
}
