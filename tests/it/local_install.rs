//! Installing to disk through the program, as an assistant on the caller's machine uses it.

pub(crate) mod assistant;
mod remote;
mod sessions;
