//! Reads TOML strictly: errors name the line, and unknown keys are errors.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike};

use crate::error::Error;

/// Maximum size of a project's file in bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A TOML text and its name, for errors.
pub(crate) struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(crate) fn parse(file: &'a str, text: &'a str) -> Result<(Self, Document<String>), Error> {
        let source = Self { file, text };
        check_text(file, text)?;
        match Document::parse(text.to_owned()) {
            Ok(document) => Ok((source, document)),
            Err(error) => {
                let reason = error.message().lines().next().unwrap_or_default().to_owned();
                Err(source.error(error.span(), reason))
            }
        }
    }

    pub(crate) fn error(&self, span: Option<Range<usize>>, reason: impl Into<String>) -> Error {
        let start = span.map_or(0, |span| span.start);
        let before = self.text.bytes().take(start);
        Error::BadFile {
            file: self.file.to_owned(),
            line: before.filter(|byte| *byte == b'\n').count() + 1,
            reason: reason.into(),
        }
    }

    /// Refuses keys that are not known, so that a spelling mistake is seen.
    pub(crate) fn check_keys(&self, table: &dyn TableLike, known: &[&str]) -> Result<(), Error> {
        match table.iter().find(|(key, _)| !known.contains(key)) {
            None => Ok(()),
            Some((key, item)) => {
                let span = table
                    .get_key_value(key)
                    .and_then(|(key, _)| key.span())
                    .or_else(|| item.span());
                let reason = format!("unknown key {key:?}: the keys here are {}", known.join(", "));
                Err(self.error(span, reason))
            }
        }
    }

    pub(crate) fn table<'t>(&self, item: &'t Item, key: &str) -> Result<&'t dyn TableLike, Error> {
        item.as_table_like()
            .ok_or_else(|| self.error(item.span(), format!("{key:?} must be a table")))
    }

    /// The text of a key, read as a value of its own type.
    pub(crate) fn value<T, E: std::fmt::Display>(
        &self,
        table: &dyn TableLike,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Error> {
        let Some(item) = table.get(key) else {
            return Ok(None);
        };
        let text = item
            .as_str()
            .ok_or_else(|| self.error(item.span(), format!("{key:?} must be a text in quotes")))?;
        match parse(text) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(self.error(item.span(), format!("{key:?}: {error}"))),
        }
    }

    pub(crate) fn flag(&self, table: &dyn TableLike, key: &str) -> Result<Option<bool>, Error> {
        let Some(item) = table.get(key) else {
            return Ok(None);
        };
        let flag = item.as_bool();
        flag.map(Some)
            .ok_or_else(|| self.error(item.span(), format!("{key:?} must be true or false")))
    }
}

/// Checks size and conflict markers of any file of a project.
pub(crate) fn check_text(file: &str, text: &str) -> Result<(), Error> {
    let error = |line, reason: String| Error::BadFile {
        file: file.to_owned(),
        line,
        reason,
    };
    if text.len() > MAX_BYTES {
        return Err(error(1, format!("the file has more than {MAX_BYTES} bytes")));
    }
    let is_conflict = |line: &str| {
        ["<<<<<<< ", ">>>>>>> ", "||||||| "]
            .iter()
            .any(|start| line.starts_with(start))
            || matches!(line, "=======" | "<<<<<<<" | ">>>>>>>")
    };
    match text.lines().position(is_conflict) {
        None => Ok(()),
        Some(at) => Err(error(
            at + 1,
            "there is an unresolved merge conflict: keep one side of it, remove the lines with <<<<<<<, ======= and >>>>>>>, and run the command again"
                .to_owned(),
        )),
    }
}
