//! Reads over plain HTTP, for clients that install skills themselves: downloads, files and indexes. One file each.
//!
//! Invariants: as with tools, a fetch gets the caller's open transaction, never a connection or the pool. It needs the
//! permission of the tool that returns the same data, and refuses in the words of that tool.

mod catalog;
mod claude_code;
mod clawhub;
mod clawhub_fingerprint;
mod clawhub_upload;
mod download;
mod fetch;
mod file;
mod index;

pub use claude_code::{
    ClaudeCodeMarketplace, ClaudeCodePlugin, Marketplace, Plugin, PluginArchive, PluginIndex,
};
pub use clawhub::{
    ClawhubHit, ClawhubList, ClawhubResolve, ClawhubResolved, ClawhubSearch, ClawhubShow, ClawhubSkill,
    ClawhubVersion, ClawhubVersions, ClawhubWhoami,
};
pub use clawhub_upload::{ClawhubUpload, ClawhubUploadUrl};
pub use download::{Archive, ArchiveBytes, Download};
pub use fetch::{Fetch, Fetched};
pub use file::{FetchedFile, File};
pub use index::{Artifact, FileIndex, FileIndexEntry, Index, IndexEntry, SkillIndex};
