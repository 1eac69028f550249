//! Builds tar archives, also invalid ones.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use crate::SKILL_MD;

pub(crate) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// A valid `SKILL.md`, for entries to follow.
    pub(crate) fn skill() -> Self {
        Self::new().file("SKILL.md", SKILL_MD)
    }

    pub(crate) fn file(self, name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        self.entry(name, b'0', content, |_| ())
    }

    /// An entry of any type. `change` may make its header invalid; the checksum is set after it.
    pub(crate) fn entry(
        self,
        name: impl AsRef<[u8]>,
        kind: u8,
        content: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Self {
        let mut header = Header::new_ustar();
        let name = name.as_ref();
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_entry_type(EntryType::new(kind));
        change(&mut header);
        header.set_cksum();
        self.raw(header.as_bytes()).padded(content)
    }

    /// A pax header. `kind` is `x` or `g`.
    pub(crate) fn pax(self, kind: u8, records: &[(&str, &str)]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            // The length counts itself.
            let rest = key.len() + value.len() + 3;
            let mut len = rest + 1;
            while len != rest + len.to_string().len() {
                len = rest + len.to_string().len();
            }
            writeln!(content, "{len} {key}={value}").unwrap();
        }
        self.entry("pax", kind, &content, |_| ())
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    fn padded(mut self, content: &[u8]) -> Self {
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn unfinished(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.raw(&[0; 1024]).bytes
    }

    pub(crate) fn finish_gz(self) -> Vec<u8> {
        gzip(&self.finish())
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
