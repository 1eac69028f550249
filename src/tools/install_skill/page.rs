//! One page of a version's files: as many as fit into an answer, the last one cut where it must be.
//!
//! Only the parts that an answer contains are read from the database, so the memory of a call does not depend on the skill.

use agent_skills::SKILL_MD;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::Serialize;

use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, VersionId};
use crate::registry::versions::{self, FileEntry, PieceRange, text_or_bytes};

/// The least bytes of a piece that is not the end of its file: a page makes progress, however long the path is.
const MIN_PIECE_BYTES: usize = 256;
/// The most bytes of a character in UTF-8.
const BYTES_PER_CHAR: usize = 4;

/// A file, or a part of one.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FilePiece {
    /// Relative to `folder`.
    pub(super) path: String,
    /// Of the whole file.
    pub(super) digest: String,
    /// Bytes of the whole file.
    pub(super) size: i64,
    pub(super) executable: bool,
    /// `utf-8` or `base64`.
    pub(super) encoding: String,
    pub(super) content: String,
    // Bytes of the file on earlier pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<u64>,
    // Whether the next page continues this file: append the bytes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) continues: bool,
}

/// Where a page begins: a file, in the order of the pages, and a byte of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    pub(super) file: usize,
    pub(super) byte: u64,
}

/// The files of a page, and where the next one begins.
#[derive(Default)]
pub(super) struct Page {
    pub(super) files: Vec<FilePiece>,
    pub(super) next: Option<Position>,
}

/// The files in the order of the pages: `SKILL.md`, then the others by path.
pub(super) fn in_order(mut manifest: Vec<FileEntry>) -> Vec<FileEntry> {
    manifest.sort_by(|a, b| (a.path != SKILL_MD, &a.path).cmp(&(b.path != SKILL_MD, &b.path)));
    manifest
}

/// The page that begins at `start`, of at most `max_chars` characters of JSON (and at least one piece of a file).
///
/// # Errors
/// [`DbError::Corrupt`] if the bytes of a file that is read whole do not match its digest.
pub(super) async fn read(
    tx: &TenantTx,
    version: VersionId,
    manifest: &[FileEntry],
    start: Position,
    max_chars: usize,
) -> Result<Page, DbError> {
    let ranges = wanted(manifest, start, max_chars);
    let mut pieces = versions::pieces(tx, version, &ranges).await?;
    let mut page = Page::default();
    let mut left = max_chars;
    let rest = manifest.iter().enumerate().skip(start.file);
    for ((index, entry), range) in rest.zip(&ranges) {
        let bytes = pieces.remove(&entry.path).unwrap_or_default();
        let is_whole = range.first_byte == 0 && length(entry) <= range.bytes;
        if is_whole && Digest::of(&bytes) != entry.digest {
            let path = &entry.path;
            return Err(DbError::Corrupt(format!(
                "the bytes of {path} differ from their digest"
            )));
        }
        let remaining = length(entry).saturating_sub(range.first_byte);
        let (piece, taken) = fit(entry, range.first_byte, &bytes, remaining, left);
        if !page.files.is_empty() && chars(&piece) > left {
            page.next = Some(Position {
                file: index,
                byte: range.first_byte,
            });
            return Ok(page);
        }
        left = left.saturating_sub(chars(&piece));
        let continues = piece.continues;
        page.files.push(piece);
        if continues {
            page.next = Some(Position {
                file: index,
                byte: range.first_byte + taken,
            });
            return Ok(page);
        }
    }
    let end = start.file + ranges.len();
    page.next = (end < manifest.len()).then_some(Position { file: end, byte: 0 });
    Ok(page)
}

fn length(entry: &FileEntry) -> u64 {
    u64::try_from(entry.size).unwrap_or_default()
}

/// What to read for a page: whole files as long as they can fit, and the beginning of the one that does not.
fn wanted(manifest: &[FileEntry], start: Position, max_chars: usize) -> Vec<PieceRange> {
    let mut left = u64::try_from(max_chars.saturating_mul(BYTES_PER_CHAR)).unwrap_or(u64::MAX);
    let mut ranges = Vec::new();
    for (index, entry) in manifest.iter().enumerate().skip(start.file) {
        let first_byte = if index == start.file { start.byte } else { 0 };
        let rest = length(entry).saturating_sub(first_byte);
        let bytes = rest.min(left.max(MIN_PIECE_BYTES as u64));
        ranges.push(PieceRange {
            path: entry.path.clone(),
            first_byte,
            bytes,
        });
        left = left.saturating_sub(rest);
        if left == 0 {
            break;
        }
    }
    ranges
}

/// The longest piece of `bytes` that fits (or the shortest, if that does not fit), and its number of bytes. `remaining` are
/// the bytes of the file from here on.
fn fit(
    entry: &FileEntry,
    first_byte: u64,
    bytes: &[u8],
    remaining: u64,
    max_chars: usize,
) -> (FilePiece, u64) {
    let mut end = bytes.len();
    loop {
        let part = whole_chars(bytes.get(..end).unwrap_or(bytes), remaining);
        let taken = u64::try_from(part.len()).unwrap_or(u64::MAX);
        let piece = piece(entry, first_byte, part.to_vec(), taken < remaining);
        let size = chars(&piece);
        if size <= max_chars || part.len() <= MIN_PIECE_BYTES {
            return (piece, taken);
        }
        // A guess in proportion, a little lower, so that a few turns suffice.
        let guess = part.len().saturating_mul(max_chars) / size;
        end = (guess.saturating_mul(15) / 16).clamp(MIN_PIECE_BYTES, part.len() - 1);
    }
}

/// The bytes without a character that is cut at the end, unless the file ends there or they are no text.
fn whole_chars(bytes: &[u8], remaining: u64) -> &[u8] {
    if u64::try_from(bytes.len()).is_ok_and(|len| len >= remaining) {
        return bytes;
    }
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            bytes.get(..error.valid_up_to()).unwrap_or(bytes)
        }
        Ok(_) | Err(_) => bytes,
    }
}

fn piece(entry: &FileEntry, first_byte: u64, bytes: Vec<u8>, continues: bool) -> FilePiece {
    let (encoding, content) = match text_or_bytes(bytes) {
        Ok(text) => ("utf-8", text),
        Err(bytes) => ("base64", BASE64.encode(bytes)),
    };
    FilePiece {
        path: entry.path.clone(),
        digest: entry.digest.to_string(),
        size: entry.size,
        executable: entry.executable,
        encoding: encoding.to_owned(),
        content,
        offset: (first_byte > 0).then_some(first_byte),
        continues,
    }
}

/// Characters of a piece in the answer's JSON.
fn chars(piece: &FilePiece) -> usize {
    serde_json::to_string(piece).map_or(usize::MAX, |json| json.chars().count())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(path: &str, bytes: &[u8]) -> FileEntry {
        FileEntry {
            path: path.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len().try_into().unwrap(),
            executable: false,
        }
    }

    fn decoded(piece: &FilePiece) -> Vec<u8> {
        match piece.encoding.as_str() {
            "utf-8" => piece.content.clone().into_bytes(),
            _ => BASE64.decode(&piece.content).unwrap(),
        }
    }

    #[test]
    fn skill_md_comes_first() {
        let files = in_order(vec![entry("A", b""), entry("SKILL.md", b""), entry("b", b"")]);
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["SKILL.md", "A", "b"]);
    }

    proptest! {
        #[test]
        fn pieces_of_a_file_are_its_bytes_and_fit(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..5000),
                "(\\PC|\n|\"|\u{1}){0,2000}".prop_map(String::into_bytes),
            ],
            max_chars in 1000_usize..4000,
        ) {
            let entry = entry("data", &bytes);
            let (mut joined, mut offset) = (Vec::new(), 0_usize);
            loop {
                let remaining = u64::try_from(bytes.len() - offset).unwrap();
                let (piece, taken) = fit(&entry, offset as u64, &bytes[offset..], remaining, max_chars);
                prop_assert!(chars(&piece) <= max_chars);
                joined.extend(decoded(&piece));
                offset += usize::try_from(taken).unwrap();
                prop_assert_eq!(joined.len(), offset);
                if !piece.continues {
                    break;
                }
                prop_assert!(taken > 0);
            }
            prop_assert_eq!(joined, bytes);
        }
    }
}
