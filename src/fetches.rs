//! Reads over plain HTTP, for clients that install skills themselves: the download of a version. One file each.
//!
//! Invariants: as with tools, a fetch gets the caller's open transaction, never a connection or the pool. It needs the
//! permission of the tool that returns the same data, and refuses in the words of that tool.

mod download;
mod fetch;

pub use download::{Archive, ArchiveBytes, Download};
pub use fetch::{Fetch, Fetched};
