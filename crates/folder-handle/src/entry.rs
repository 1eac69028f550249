//! Kinds and metadata of the entries of a folder.

use nix::dir::Type;
use nix::sys::stat::{FileStat, SFlag};

/// What an entry of a folder is. A link is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Folder,
    Link,
    Pipe,
    Socket,
    Device,
}

impl EntryKind {
    #[must_use]
    pub const fn is_file(self) -> bool {
        matches!(self, Self::File)
    }

    #[must_use]
    pub const fn is_folder(self) -> bool {
        matches!(self, Self::Folder)
    }

    #[must_use]
    pub const fn is_link(self) -> bool {
        matches!(self, Self::Link)
    }
}

impl From<Type> for EntryKind {
    fn from(kind: Type) -> Self {
        match kind {
            Type::File => Self::File,
            Type::Directory => Self::Folder,
            Type::Symlink => Self::Link,
            Type::Fifo => Self::Pipe,
            Type::Socket => Self::Socket,
            Type::CharacterDevice | Type::BlockDevice => Self::Device,
        }
    }
}

/// Metadata of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryInfo {
    pub kind: EntryKind,
    pub size_bytes: u64,
    /// With [`Self::inode`], the identity of the entry.
    pub device: u64,
    pub inode: u64,
    /// The owner's user id.
    pub owner: u32,
    /// The group's id.
    pub group: u32,
    /// The permission bits: read, write and execute of owner, group and others, set-id and sticky.
    pub mode: u32,
    /// Number of names of the entry (hard links).
    pub names: u64,
}

impl From<&FileStat> for EntryInfo {
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        clippy::cast_sign_loss,
        clippy::cast_lossless,
        reason = "the widths of the fields differ between Linux and macOS; none of them is negative"
    )]
    fn from(stat: &FileStat) -> Self {
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        Self {
            kind: match kind {
                SFlag::S_IFREG => EntryKind::File,
                SFlag::S_IFDIR => EntryKind::Folder,
                SFlag::S_IFLNK => EntryKind::Link,
                SFlag::S_IFIFO => EntryKind::Pipe,
                SFlag::S_IFSOCK => EntryKind::Socket,
                _ => EntryKind::Device,
            },
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            owner: stat.st_uid,
            group: stat.st_gid,
            mode: (stat.st_mode as u32) & 0o7777,
            names: stat.st_nlink as u64,
        }
    }
}
