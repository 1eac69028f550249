//! Deviations from the format, as reports show them.

use agent_skills::{Diagnostic, Severity};

/// A deviation of a skill from the format, for reports.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DiagnosticLine {
    /// Stable identifier.
    pub code: &'static str,
    /// Whether it violates the format; otherwise it is a warning.
    pub breaks_a_rule: bool,
    /// What was found and how it was handled.
    pub message: String,
}

impl From<&Diagnostic> for DiagnosticLine {
    fn from(note: &Diagnostic) -> Self {
        Self {
            code: note.code(),
            breaks_a_rule: note.severity() == Severity::Error,
            message: note.to_string(),
        }
    }
}
