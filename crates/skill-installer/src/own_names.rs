//! Names that the crate uses itself in a skills folder. All are hidden, so that assistants pass them over.

use std::time::{SystemTime, UNIX_EPOCH};

/// The file that is locked during each change. It stays.
pub(crate) const LOCK: &str = ".skillkeep-lock";
/// The folder that keeps what would otherwise be lost.
pub(crate) const BACKUP: &str = ".skillkeep-backup";
/// A folder that is being built. Everything in it is a copy, or a second name of a file that is elsewhere.
pub(crate) const STAGE: &str = ".skillkeep-stage-";
/// A complete folder that is about to be exchanged with the folder of a skill, or was. Followed by the skill's folder name,
/// a dot and an id.
pub(crate) const OLD: &str = ".skillkeep-old-";
/// The folder of a skill that was renamed because the file system cannot exchange; named as [`OLD`].
pub(crate) const SWAP: &str = ".skillkeep-swap-";
/// A marker file or link that is about to get its real name.
pub(crate) const TEMPORARY: &str = ".skillkeep-new-";

const PREFIX: &str = ".skillkeep";

/// Whether a name is reserved, in any case.
pub(crate) fn is_own_name(name: &str) -> bool {
    name.get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// An id that no other run uses. Sorts by time.
pub(crate) fn new_id() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    format!("{seconds:010}-{:012x}", rand::random::<u64>() >> 16)
}

/// The parts of a name: after the prefix, the skill's folder name and the id.
pub(crate) fn parse<'a>(name: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    name.strip_prefix(prefix)?.rsplit_once('.')
}
