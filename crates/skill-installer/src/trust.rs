//! Which folders are used: those that no other account can change.

use folder_handle::{EntryInfo, EntryKind, is_writable_by_others, own_user};

use crate::error::FileProblem;

/// Checks that an entry is a folder of this account (or of root), which no other account can write to.
pub(crate) fn check_folder(info: &EntryInfo) -> Result<(), FileProblem> {
    match info.kind {
        EntryKind::Folder => {}
        EntryKind::Link => return Err(FileProblem::Link),
        EntryKind::File => return Err(FileProblem::NotAFolder),
        EntryKind::Pipe | EntryKind::Socket | EntryKind::Device => return Err(FileProblem::Special),
    }
    if info.owner != own_user() && info.owner != 0 {
        return Err(FileProblem::OtherOwner);
    }
    if is_writable_by_others(info.mode, info.group) {
        return Err(FileProblem::WritableByOthers);
    }
    Ok(())
}
