//! What a file is by its first bytes.

/// First bytes of compiled programs and libraries: ELF, Mach-O (both byte orders, 32 and 64 bits, universal), WebAssembly and
/// Android's Dalvik. Java's classes begin like universal Mach-O.
const PROGRAMS: [&[u8]; 8] = [
    b"\x7FELF",
    b"\xFE\xED\xFA\xCE",
    b"\xFE\xED\xFA\xCF",
    b"\xCE\xFA\xED\xFE",
    b"\xCF\xFA\xED\xFE",
    b"\xCA\xFE\xBA\xBE",
    b"\0asm",
    b"dex\n",
];

/// First bytes of archives and compressed files: zip, gzip, 7-Zip, RAR, xz, bzip2, zstd.
const ARCHIVES: [&[u8]; 8] = [
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1F\x8B",
    b"7z\xBC\xAF\x27\x1C",
    b"Rar!\x1A\x07",
    b"\xFD7zXZ\0",
    b"BZh",
    b"\x28\xB5\x2F\xFD",
];

/// Where the name of a tar archive's format is.
const TAR_MAGIC_OFFSET: usize = 257;

/// Documents that are zip files.
const OFFICE: [&str; 16] = [
    "docx", "xlsx", "pptx", "odt", "ods", "odp", "epub", "dotx", "xltx", "potx", "vsdx", "key", "pages",
    "numbers", "sketch", "drawio",
];

pub(crate) fn is_program(bytes: &[u8]) -> bool {
    PROGRAMS.iter().any(|magic| bytes.starts_with(magic)) || is_windows_program(bytes)
}

/// A Windows program begins with `MZ`, which text may do too. Its header's offset is at byte 60.
fn is_windows_program(bytes: &[u8]) -> bool {
    let header = || {
        let offset = bytes.get(60..64)?.first_chunk::<4>()?;
        bytes.get(usize::try_from(u32::from_le_bytes(*offset)).ok()?..)
    };
    bytes.starts_with(b"MZ") && header().is_some_and(|header| header.starts_with(b"PE\0\0"))
}

/// `extension` is in lowercase.
pub(crate) fn is_archive(bytes: &[u8], extension: &str) -> bool {
    let has_magic = ARCHIVES.iter().any(|magic| bytes.starts_with(magic))
        || bytes
            .get(TAR_MAGIC_OFFSET..)
            .is_some_and(|rest| rest.starts_with(b"ustar"));
    has_magic && !OFFICE.contains(&extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_recognised_by_their_header() {
        let mut windows = b"MZ".to_vec();
        windows.resize(60, 0);
        windows.extend([64, 0, 0, 0]);
        windows.extend(b"PE\0\0");
        assert!(is_program(&windows));
        assert!(is_program(b"\xCF\xFA\xED\xFE\x07\0\0\x01"));
        for text in [&b"MZ is a title"[..], b"", b"MZ", b"#!/bin/sh"] {
            assert!(!is_program(text));
        }
        windows[60..64].fill(0xFF);
        assert!(!is_program(&windows));
    }

    #[test]
    fn office_documents_are_no_archives() {
        assert!(is_archive(b"PK\x03\x04", "zip") && is_archive(b"PK\x03\x04", "png"));
        assert!(!is_archive(b"PK\x03\x04", "docx"));
        let mut tar = vec![b'a'; TAR_MAGIC_OFFSET];
        tar.extend(b"ustar");
        assert!(is_archive(&tar, ""));
    }
}
