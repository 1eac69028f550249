//! What every entry of every archive must pass: name, number, size. The readers call it, the sinks get what passed.

use std::io::Read;

use flate2::Crc;

use super::ArchiveLimits;
use super::error::{ArchiveError, EntryProblem};
use super::names::EntryName;
use super::tree::{NodeKind, PathTree};
use crate::path::SkillPath;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Folder,
    SymbolicLink,
    HardLink,
}

impl EntryKind {
    /// For a link.
    pub(super) const fn link_name(self) -> &'static str {
        match self {
            Self::HardLink => "hard link",
            Self::SymbolicLink | Self::File | Self::Folder => "symbolic link",
        }
    }
}

/// Receives the entries of an archive.
pub(super) trait Sink {
    fn folder(&mut self, path: &SkillPath) -> Result<(), ArchiveError>;
    /// Must read `content` to its end.
    fn file(
        &mut self,
        path: SkillPath,
        is_executable: bool,
        content: &mut Content<'_>,
    ) -> Result<(), ArchiveError>;
    fn link(&mut self, path: &SkillPath, kind: EntryKind) -> Result<(), ArchiveError>;
    /// `path` belongs to another program. Called for every file below it.
    fn left_out(&mut self, path: &str);
}

/// The checks of one archive.
pub(super) struct Checks {
    limits: ArchiveLimits,
    archive_bytes: u64,
    tree: PathTree,
    entries: usize,
    name_bytes: u64,
    unpacked_bytes: u64,
    overhead_bytes: u64,
}

impl Checks {
    pub(super) fn new(limits: &ArchiveLimits, archive_bytes: u64) -> Result<Self, ArchiveError> {
        if archive_bytes > limits.max_archive_bytes {
            return Err(ArchiveError::TooLarge {
                bytes: archive_bytes,
                limit: limits.max_archive_bytes,
            });
        }
        Ok(Self {
            limits: limits.clone(),
            archive_bytes,
            tree: PathTree::default(),
            entries: 0,
            name_bytes: 0,
            unpacked_bytes: 0,
            overhead_bytes: 0,
        })
    }

    pub(super) const fn limits(&self) -> &ArchiveLimits {
        &self.limits
    }

    /// Counts an entry and checks its name, also against the names before it.
    pub(super) fn name(&mut self, raw: &[u8], kind: EntryKind) -> Result<EntryName, ArchiveError> {
        let entry = || String::from_utf8_lossy(raw).into_owned();
        self.entries += 1;
        let name = EntryName::parse(raw, kind == EntryKind::Folder)
            .map_err(|problem| ArchiveError::entry(raw, problem))?;
        self.name_bytes += raw.len() as u64;
        if self.name_bytes > self.limits.max_name_bytes {
            return Err(ArchiveError::TooManyNameBytes {
                entry: entry(),
                limit: self.limits.max_name_bytes,
            });
        }
        if let EntryName::Path(path) = &name {
            let node = match kind {
                EntryKind::Folder => NodeKind::Folder,
                EntryKind::File | EntryKind::SymbolicLink | EntryKind::HardLink => NodeKind::File,
            };
            self.tree.insert(path, node)?;
        }
        if self.entries.max(self.tree.len()) > self.limits.max_entries {
            return Err(ArchiveError::TooManyEntries {
                entry: entry(),
                limit: self.limits.max_entries,
            });
        }
        Ok(name)
    }

    /// Refuses an entry whose declared size cannot fit, before anything of it is read.
    pub(super) fn declared_size(&self, entry: &str, bytes: u64) -> Result<(), ArchiveError> {
        self.fits(entry, self.unpacked_bytes.saturating_add(bytes))
    }

    /// Counts unpacked bytes.
    pub(super) fn unpacked(&mut self, entry: &str, bytes: u64) -> Result<(), ArchiveError> {
        self.unpacked_bytes = self.unpacked_bytes.saturating_add(bytes);
        self.fits(entry, self.unpacked_bytes)
    }

    /// Counts bytes that belong to no file, such as extension headers: as many are allowed as files may have.
    pub(super) fn overhead(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.overhead_bytes = self.overhead_bytes.saturating_add(bytes);
        if self.overhead_bytes > self.limits.max_unpacked_bytes {
            return Err(ArchiveError::TooManyBytes {
                entry: "extension headers".to_owned(),
                limit: self.limits.max_unpacked_bytes,
            });
        }
        Ok(())
    }

    fn fits(&self, entry: &str, unpacked_bytes: u64) -> Result<(), ArchiveError> {
        let limits = &self.limits;
        if unpacked_bytes > limits.max_unpacked_bytes {
            return Err(ArchiveError::TooManyBytes {
                entry: entry.to_owned(),
                limit: limits.max_unpacked_bytes,
            });
        }
        let by_ratio = self.archive_bytes.saturating_mul(limits.max_ratio);
        if unpacked_bytes > limits.ratio_free_bytes && unpacked_bytes > by_ratio {
            return Err(ArchiveError::Ratio {
                entry: entry.to_owned(),
                ratio: limits.max_ratio,
            });
        }
        Ok(())
    }
}

/// The unpacked content of an entry, counted and checked while it is read.
pub(super) struct Content<'a> {
    entry: &'a str,
    reader: &'a mut dyn Read,
    checks: &'a mut Checks,
    declared_bytes: u64,
    read_bytes: u64,
    crc: Crc,
}

impl<'a> Content<'a> {
    pub(super) fn new(
        entry: &'a str,
        reader: &'a mut dyn Read,
        checks: &'a mut Checks,
        declared_bytes: u64,
    ) -> Self {
        Self {
            entry,
            reader,
            checks,
            declared_bytes,
            read_bytes: 0,
            crc: Crc::new(),
        }
    }

    /// Reads the next bytes, or none at the end. Fails as soon as there are more than the archive declared.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], ArchiveError> {
        let count = loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| ArchiveError::read_entry(error, self.entry))?,
            }
        };
        let chunk = buffer.get(..count).unwrap_or(&[]);
        self.read_bytes += chunk.len() as u64;
        if self.read_bytes > self.declared_bytes {
            return Err(ArchiveError::entry(self.entry, EntryProblem::Size));
        }
        self.checks.unpacked(self.entry, chunk.len() as u64)?;
        self.crc.update(chunk);
        Ok(chunk)
    }

    /// Reads the rest. Returns the CRC-32 of the whole content. Fails with `if_short` if there is less than declared.
    pub(super) fn finish(mut self, if_short: EntryProblem) -> Result<u32, ArchiveError> {
        let mut buffer = [0; 8192];
        while !self.read(&mut buffer)?.is_empty() {}
        if self.read_bytes < self.declared_bytes {
            return Err(ArchiveError::entry(self.entry, if_short));
        }
        Ok(self.crc.sum())
    }
}
