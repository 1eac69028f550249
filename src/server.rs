//! The server: one door through which every call goes, and the protocol handler in front of it.

mod door;
mod ending;
mod handler;
mod record;

pub use door::{BeforeRun, Door, Limits};
pub use handler::{KeySource, Registry};
pub use record::{Envelope, Transport};
