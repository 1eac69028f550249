//! Waits until what was written is on the disk.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::disk::{Folder, Unflushed, event, step};
use crate::error::Error;

/// Threads that wait at once. A file system needs one write of its journal for all that wait together.
const MAX_THREADS: usize = 8;

/// What is waited for.
#[derive(Debug, Clone, Copy)]
enum Item<'a> {
    File(&'a Unflushed<'a>),
    /// The names in a folder.
    Folder(&'a Folder),
}

/// Waits until these files, and the names in these folders, are on the disk. Each file is then read back.
///
/// # Errors
/// [`Error::Io`] of the first that failed, after all others were waited for.
pub(crate) fn flush(files: &[Unflushed<'_>], folders: &[&Folder]) -> Result<(), Error> {
    let files = files.iter().map(Item::File);
    let items: Vec<Item<'_>> = files
        .chain(folders.iter().map(|folder| Item::Folder(folder)))
        .collect();
    // All before the first, on this thread: tests count the changes of one thread.
    for item in &items {
        event("flush", item.shown());
        step().map_err(|source| item.error(source))?;
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), Error> {
        let mut result = Ok(());
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            result = result.and(item.wait());
        }
        result
    };
    // This thread is one of them.
    let others = items.len().min(MAX_THREADS).saturating_sub(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..others).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .fold(work(), |result, thread| match thread.join() {
                Ok(other) => result.and(other),
                Err(panic) => std::panic::resume_unwind(panic),
            })
    })
}

impl<'a> Item<'a> {
    fn shown(self) -> &'a Path {
        match self {
            Self::File(file) => &file.shown,
            Self::Folder(folder) => folder.shown_path(),
        }
    }

    fn error(self, source: io::Error) -> Error {
        match self {
            Self::File(file) => file.error(source),
            Self::Folder(folder) => folder.sync_error(source),
        }
    }

    fn wait(self) -> Result<(), Error> {
        match self {
            Self::File(file) => file.wait().map_err(|source| file.error(source)),
            Self::Folder(folder) => folder.wait().map_err(|source| folder.sync_error(source)),
        }
    }
}
