//! Archives that no honest program writes.

/// An entry of an archive, stored without compression.
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    /// Type and permission bits, as on Unix.
    pub(super) mode: u32,
    /// What the headers state, if that is not the length of `bytes`.
    pub(super) stated_size: Option<u32>,
}

impl Entry {
    pub(super) fn file(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            bytes: bytes.to_vec(),
            mode: 0o100_644,
            stated_size: None,
        }
    }
}

/// A zip archive of these entries (APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16).
pub(super) fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = u32::try_from(archive.len()).unwrap();
        let size = entry
            .stated_size
            .unwrap_or(u32::try_from(entry.bytes.len()).unwrap());
        let mut common = Vec::new();
        // Version 2.0, names in UTF-8, stored, 1980-01-01.
        for number in [20_u16, 0x0800, 0, 0, 0x21] {
            common.extend(number.to_le_bytes());
        }
        common.extend(crc32fast::hash(&entry.bytes).to_le_bytes());
        common.extend(size.to_le_bytes());
        common.extend(size.to_le_bytes());
        common.extend(u16::try_from(entry.name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(&entry.name);
        archive.extend(&entry.bytes);
        directory.extend(b"PK\x01\x02");
        // Made on Unix.
        directory.extend([20, 3]);
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&entry.name);
    }
    let (count, at) = (
        u16::try_from(entries.len()).unwrap(),
        u32::try_from(archive.len()).unwrap(),
    );
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(count.to_le_bytes());
    archive.extend(count.to_le_bytes());
    archive.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    archive.extend(at.to_le_bytes());
    archive.extend([0, 0]);
    archive
}
