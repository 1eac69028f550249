//! Extension headers of tar archives: GNU long names and pax records (POSIX.1-2017, pax, "pax Header Block").

use super::error::{ArchiveError, EntryProblem};

/// Maximum size of an extension header in bytes. macOS stores extended attributes there.
pub(super) const MAX_EXTENSION_BYTES: u64 = 256 * 1024;

const MALFORMED: ArchiveError = ArchiveError::Malformed {
    reason: "an extension header is invalid",
};

/// What extension headers say about the next entry.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) is_sparse: bool,
    has_pax: bool,
}

impl Extensions {
    pub(super) const fn is_pending(&self) -> bool {
        self.path.is_some() || self.has_pax
    }

    /// The content of a GNU long name, which ends with NUL.
    pub(super) fn set_path(&mut self, mut content: Vec<u8>) -> Result<(), ArchiveError> {
        if content.last() == Some(&0) {
            content.pop();
        }
        if self.path.replace(content).is_some() {
            return Err(ArchiveError::Malformed {
                reason: "two headers name the same entry",
            });
        }
        Ok(())
    }

    pub(super) fn add_pax(&mut self, content: &[u8]) -> Result<(), ArchiveError> {
        if std::mem::replace(&mut self.has_pax, true) {
            return Err(ArchiveError::Malformed {
                reason: "an entry has two pax headers",
            });
        }
        for record in records(content) {
            let (key, value) = record?;
            if key == b"path" {
                self.set_path(value.to_vec())?;
            } else if key == b"size" {
                let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                if self.size.replace(size.ok_or(MALFORMED)?).is_some() {
                    return Err(MALFORMED);
                }
            } else if key.starts_with(b"GNU.sparse.") {
                self.is_sparse = true;
            } else if is_refused(key, value) {
                return Err(refused(key));
            }
        }
        Ok(())
    }
}

/// A global header applies to all entries that follow. Git writes one with a comment.
pub(super) fn check_global(content: &[u8]) -> Result<(), ArchiveError> {
    for record in records(content) {
        let (key, value) = record?;
        let is_about_content = matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.");
        if is_about_content || is_refused(key, value) {
            return Err(refused(key));
        }
    }
    Ok(())
}

/// Another encoding of names than UTF-8. Other keys (times, owners, attributes) do not matter here.
fn is_refused(key: &[u8], value: &[u8]) -> bool {
    matches!(key, b"hdrcharset" | b"charset") && value != b"ISO-IR 10646 2000 UTF-8"
}

fn refused(key: &[u8]) -> ArchiveError {
    let key = String::from_utf8_lossy(key).into_owned();
    ArchiveError::entry("pax header", EntryProblem::PaxKey { key })
}

/// Splits `LENGTH KEY=VALUE\n` records. The length counts the whole record.
fn records(content: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), ArchiveError>> {
    let mut rest = content;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let record = split_record(rest);
        rest = record.map_or(&[], |(_, _, rest)| rest);
        Some(record.map(|(key, value, _)| (key, value)).ok_or(MALFORMED))
    })
}

fn split_record(content: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = content.iter().position(|byte| *byte == b' ')?;
    let digits = std::str::from_utf8(content.get(..space)?).ok()?;
    let len: usize = digits.parse().ok()?;
    let (record, rest) = content.split_at_checked(len)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let key = record.get(..equals)?;
    Some((key, record.get(equals + 1..)?, rest)).filter(|_| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pax(content: &[u8]) -> Result<Extensions, ArchiveError> {
        let mut extensions = Extensions::default();
        extensions.add_pax(content).map(|()| extensions)
    }

    #[test]
    fn records_may_contain_line_ends_and_unknown_keys() {
        let found = pax(b"16 comment=a\nb=c\n17 path=caf\xC3\xA9.md\n9 size=1\n");
        assert!(found.is_err(), "the last length is wrong");
        let found = pax(b"17 comment=a\nb=c\n17 path=caf\xC3\xA9.md\n9 size=1\n").unwrap();
        assert_eq!(found.path.as_deref(), Some("café.md".as_bytes()));
        assert_eq!((found.size, found.is_sparse), (Some(1), false));
    }

    #[test]
    fn malformed_records_are_refused() {
        for content in [
            &b"99999999999999999999 a=b\n"[..],
            b"5 a=b\n",
            b"-6 a=b\n",
            b"6 a=b",
            b"6 a=b\nx",
            b"0 a=b\n",
            b"6 aab\n",
            b"6 =ab\n",
            b"\0",
        ] {
            assert!(pax(content).is_err(), "{content:?}");
        }
    }

    #[test]
    fn global_header_must_not_rename_entries() {
        assert!(check_global(b"13 comment=a\n").is_ok());
        assert!(check_global(b"10 path=a\n").is_err());
        assert!(check_global(b"21 hdrcharset=BINARY\n").is_err());
    }
}
