//! Writes zip archives that depend on their files only.

use flate2::Crc;

use super::zip_records::{CENTRAL_HEADER, END_RECORD, LOCAL_HEADER, STORED};
use crate::folder::SkillFile;
use crate::path::{Collision, check_collisions};

/// 1980-01-01 00:00, the earliest time of the format: day 1, month 1.
const TIME_AND_DATE: [u16; 2] = [0, (1 << 5) | 1];
/// Names are UTF-8 (APPNOTE.TXT 4.4.4, bit 11).
const UTF8_NAMES: u16 = 1 << 11;
/// Version 1.0 suffices to extract stored files.
const VERSION_NEEDED: u16 = 10;
/// Written on Unix (3), so that programs apply the modes, according to version 6.3 of the format.
const MADE_BY: u16 = (3 << 8) | 63;
const EXECUTABLE: u32 = 0o100_755;
const NOT_EXECUTABLE: u32 = 0o100_644;

/// Why files cannot be written as a zip archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZipError {
    #[error(transparent)]
    Collision(#[from] Collision),
    /// More than 65,535 files, or 4 GiB.
    #[error("the files do not fit into a zip archive: it holds 65,535 files and 4 GiB")]
    TooLarge,
}

/// Writes files as a zip archive. Equal files give equal bytes, in every version of this crate and on every machine.
///
/// Entries are sorted by path and have the time 1980-01-01 00:00, the mode 0644 or 0755, and no comment. Files are stored without
/// compression: the output of a compressor may change with its version, and a changed archive would no longer match its
/// published digest. A transport can still compress the whole archive.
///
/// # Errors
/// Returns a [`ZipError`] if two paths collide, or the files exceed what a zip without 64-bit extensions holds. No skill within
/// [`limits`](crate::limits) does.
pub fn write_zip(files: &[SkillFile]) -> Result<Vec<u8>, ZipError> {
    check_collisions(files.iter().map(|file| &file.path))?;
    let mut files: Vec<&SkillFile> = files.iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for file in &files {
        let offset = u32::try_from(archive.len()).map_err(|_| ZipError::TooLarge)?;
        let common = common_fields(file).ok_or(ZipError::TooLarge)?;
        archive.extend(LOCAL_HEADER);
        archive.extend(&common);
        archive.extend(file.path.as_str().as_bytes());
        archive.extend(&file.bytes);
        write_central(&mut directory, file, &common, offset);
    }
    let entries = u16::try_from(files.len()).map_err(|_| ZipError::TooLarge)?;
    let offset = u32::try_from(archive.len()).map_err(|_| ZipError::TooLarge)?;
    let size = u32::try_from(directory.len()).map_err(|_| ZipError::TooLarge)?;
    archive.extend(&directory);
    archive.extend(END_RECORD);
    // Number of this disk, disk of the directory, entries on this disk, all entries.
    for field in [0, 0, entries, entries] {
        archive.extend(field.to_le_bytes());
    }
    archive.extend(size.to_le_bytes());
    archive.extend(offset.to_le_bytes());
    let comment_bytes = 0_u16;
    archive.extend(comment_bytes.to_le_bytes());
    Ok(archive)
}

/// The fields that both headers share, from the needed version to the length of the extra fields.
fn common_fields(file: &SkillFile) -> Option<Vec<u8>> {
    let size = u32::try_from(file.bytes.len()).ok()?;
    let name_bytes = u16::try_from(file.path.as_str().len()).ok()?;
    let mut crc = Crc::new();
    crc.update(&file.bytes);
    let mut fields = Vec::with_capacity(26);
    let [time, date] = TIME_AND_DATE;
    for field in [VERSION_NEEDED, UTF8_NAMES, STORED, time, date] {
        fields.extend(field.to_le_bytes());
    }
    // Checksum, compressed size, size.
    for field in [crc.sum(), size, size] {
        fields.extend(field.to_le_bytes());
    }
    let extra_bytes = 0;
    for field in [name_bytes, extra_bytes] {
        fields.extend(field.to_le_bytes());
    }
    Some(fields)
}

fn write_central(directory: &mut Vec<u8>, file: &SkillFile, common: &[u8], offset: u32) {
    directory.extend(CENTRAL_HEADER);
    directory.extend(MADE_BY.to_le_bytes());
    directory.extend(common);
    // Length of the comment, disk, internal attributes.
    directory.extend([0; 6]);
    let mode = if file.is_executable {
        EXECUTABLE
    } else {
        NOT_EXECUTABLE
    };
    directory.extend((mode << 16).to_le_bytes());
    directory.extend(offset.to_le_bytes());
    directory.extend(file.path.as_str().as_bytes());
}
