//! Hostile, unusual and valid archives, built by code.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a panic fails the test and shows where"
)]

mod accepted;
mod folders;
mod hostile;
mod limits;
mod memory;
mod mutated;
mod tar_builder;
mod tar_cases;
mod written;
mod zip_builder;
mod zip_cases;

/// An archive or several of them that must be refused.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) build: Box<dyn Fn() -> Vec<u8>>,
    /// Part of the message.
    pub(crate) reason: &'static str,
    /// What an extraction of many skills does with it.
    pub(crate) import: Import,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Import {
    /// Refuses it for the same reason.
    SameReason,
    /// Refuses it for another reason.
    OtherReason(&'static str),
    /// Skips the link and extracts the rest.
    SkipsLink,
    /// Has a higher limit.
    Accepts,
}

pub(crate) fn case(name: &'static str, reason: &'static str, build: impl Fn() -> Vec<u8> + 'static) -> Case {
    Case {
        name,
        build: Box::new(build),
        reason,
        import: Import::SameReason,
    }
}

impl Case {
    pub(crate) fn import(self, import: Import) -> Self {
        Self { import, ..self }
    }
}

pub(crate) const SKILL_MD: &[u8] = b"---\nname: my-skill\ndescription: Does it.\n---\nDo it.\n";
