//! Checks in code, for what a pattern on normalised text cannot express.

mod bytes;
mod hidden;

use serde::Deserialize;

pub(crate) use bytes::{is_archive, is_program};
pub(crate) use hidden::{decoded_tags, hidden_text};

/// A check that a rule names. The rule decides severity and texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Check {
    /// Unicode tag characters that spell a text.
    TagCharacters,
    /// Many zero-width characters in a row, or inside words.
    ZeroWidth,
    /// Characters that reorder the text around them.
    Bidi,
    /// A run of variation selectors, which can carry bytes.
    VariationSelectors,
    /// Words of Latin letters with letters of another script that look the same.
    MixedScript,
    /// Text behind many blanks on the same line.
    BlankPadding,
    /// Text below many blank lines.
    LinePadding,
    /// Escape sequences of a terminal.
    TerminalEscape,
    /// Encoded text that other rules would find.
    EncodedText,
    /// A compiled program.
    Program,
    /// An archive.
    Archive,
    /// A binary file of no known kind.
    UnknownBinary,
    /// A file of which only the beginning was read.
    FileTooLarge,
    /// Files that were not read because the skill is too large.
    SkillTooLarge,
    /// More findings than are kept.
    TooManyFindings,
}
