//! Builds zip archives, also invalid ones, field by field.

use std::io::Write as _;

use flate2::write::DeflateEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress};

use crate::SKILL_MD;

pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    /// Name in the local header, if it differs.
    pub(crate) local_name: Option<Vec<u8>>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) local_method: Option<u16>,
    pub(crate) crc: u32,
    pub(crate) local_crc: Option<u32>,
    /// What the headers declare.
    pub(crate) size: u32,
    pub(crate) local_size: Option<u32>,
    pub(crate) compressed_size: u32,
    pub(crate) content: Vec<u8>,
    /// After the content.
    pub(crate) descriptor: Vec<u8>,
    pub(crate) mode: u32,
    /// Extra fields of both headers.
    pub(crate) extra: Vec<u8>,
    /// Before the local header.
    pub(crate) gap: Vec<u8>,
    /// Offset in the central directory, if it is not the true one.
    pub(crate) offset: Option<u32>,
    pub(crate) is_in_directory: bool,
}

impl Entry {
    pub(crate) fn stored(name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        let mut crc = Crc::new();
        crc.update(content);
        let size = u32::try_from(content.len()).unwrap();
        Self {
            name: name.as_ref().to_vec(),
            local_name: None,
            flags: 1 << 11,
            method: 0,
            local_method: None,
            crc: crc.sum(),
            local_crc: None,
            size,
            local_size: None,
            compressed_size: size,
            content: content.to_vec(),
            descriptor: Vec::new(),
            mode: 0o100_644,
            extra: Vec::new(),
            gap: Vec::new(),
            offset: None,
            is_in_directory: true,
        }
    }

    pub(crate) fn deflated(name: &str, content: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        let compressed = encoder.finish().unwrap();
        let mut entry = Self::stored(name, content);
        entry.method = 8;
        entry.compressed_size = u32::try_from(compressed.len()).unwrap();
        entry.content = compressed;
        entry
    }

    /// Some mebibytes of zeros, about 1,000 times smaller. The checksum is wrong.
    pub(crate) fn bomb(name: &str, mebibytes: u32) -> Self {
        let content = deflated_zeros(mebibytes);
        let mut entry = Self::stored(name, &content);
        entry.method = 8;
        entry.size = mebibytes << 20;
        entry
    }

    /// Some mebibytes of zeros with their checksum.
    pub(crate) fn zeros(name: &str, mebibytes: u32) -> Self {
        let mut crc = Crc::new();
        crc.update(&vec![0; usize::try_from(mebibytes).unwrap() << 20]);
        Self::bomb(name, mebibytes).with(|entry| entry.crc = crc.sum())
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Moves sizes and checksum behind the content.
    pub(crate) fn streamed(self) -> Self {
        self.with(|entry| {
            entry.flags |= 1 << 3;
            entry.descriptor = b"PK\x07\x08".to_vec();
            for field in [entry.crc, entry.compressed_size, entry.size] {
                entry.descriptor.extend(field.to_le_bytes());
            }
            entry.local_crc = Some(0);
            entry.local_size = Some(0);
        })
    }

    fn write_local(&self, out: &mut Vec<u8>) {
        let name = self.local_name.as_ref().unwrap_or(&self.name);
        out.extend(b"PK\x03\x04");
        self.write_common(
            out,
            self.local_method.unwrap_or(self.method),
            self.local_crc.unwrap_or(self.crc),
            self.local_size
                .map_or(self.compressed_size, |size| size.min(self.compressed_size)),
            self.local_size.unwrap_or(self.size),
            name.len(),
        );
        out.extend(name);
        out.extend(&self.extra);
        out.extend(&self.content);
        out.extend(&self.descriptor);
    }

    fn write_central(&self, out: &mut Vec<u8>, offset: u32) {
        out.extend(b"PK\x01\x02\x3F\x03");
        self.write_common(
            out,
            self.method,
            self.crc,
            self.compressed_size,
            self.size,
            self.name.len(),
        );
        out.extend([0; 6]);
        out.extend((self.mode << 16).to_le_bytes());
        out.extend(self.offset.unwrap_or(offset).to_le_bytes());
        out.extend(&self.name);
        out.extend(&self.extra);
    }

    fn write_common(
        &self,
        out: &mut Vec<u8>,
        method: u16,
        crc: u32,
        compressed: u32,
        size: u32,
        name_len: usize,
    ) {
        for field in [20, self.flags, method, 0, 0x21] {
            out.extend(field.to_le_bytes());
        }
        for field in [crc, compressed, size] {
            out.extend(field.to_le_bytes());
        }
        for len in [name_len, self.extra.len()] {
            out.extend(u16::try_from(len).unwrap().to_le_bytes());
        }
    }
}

/// A raw deflate stream. Each chunk ends at a byte, so that it can be repeated.
pub(crate) fn deflated_zeros(mebibytes: u32) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut chunk = Vec::with_capacity(1 << 16);
    compress
        .compress_vec(&vec![0; 1 << 20], &mut chunk, FlushCompress::Full)
        .unwrap();
    let mut stream = chunk.repeat(usize::try_from(mebibytes).unwrap());
    stream.extend([1, 0, 0, 0xFF, 0xFF]);
    stream
}

#[derive(Default)]
pub(crate) struct Zip {
    pub(crate) entries: Vec<Entry>,
    pub(crate) prefix: Vec<u8>,
    pub(crate) before_directory: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    pub(crate) suffix: Vec<u8>,
    /// Number of entries in the end record, if it is not the true one.
    pub(crate) count: Option<u16>,
    pub with_zip64: bool,
}

impl Zip {
    /// A valid `SKILL.md` and the given entries.
    pub(crate) fn skill(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut all = vec![Entry::stored("SKILL.md", SKILL_MD)];
        all.extend(entries);
        Self {
            entries: all,
            ..Self::default()
        }
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let mut directory = Vec::new();
        let mut count = 0;
        for entry in &self.entries {
            out.extend(&entry.gap);
            let offset = u32::try_from(out.len()).unwrap();
            entry.write_local(&mut out);
            if entry.is_in_directory {
                entry.write_central(&mut directory, offset);
                count += 1;
            }
        }
        out.extend(&self.before_directory);
        let offset = out.len();
        let size = directory.len();
        out.extend(&directory);
        if self.with_zip64 {
            write_zip64(&mut out, count, size as u64, offset as u64);
        }
        out.extend(b"PK\x05\x06\0\0\0\0");
        let count = self.count.unwrap_or(u16::try_from(count & 0xFFFF).unwrap());
        out.extend(count.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(u32::try_from(size).unwrap().to_le_bytes());
        out.extend(u32::try_from(offset).unwrap().to_le_bytes());
        out.extend(u16::try_from(self.comment.len()).unwrap().to_le_bytes());
        out.extend(&self.comment);
        out.extend(&self.suffix);
        out
    }
}

fn write_zip64(out: &mut Vec<u8>, count: u64, size: u64, offset: u64) {
    let record_offset = out.len() as u64;
    out.extend(b"PK\x06\x06");
    out.extend(44_u64.to_le_bytes());
    out.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for field in [count, count, size, offset] {
        out.extend(field.to_le_bytes());
    }
    out.extend(b"PK\x06\x07\0\0\0\0");
    out.extend(record_offset.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
}
