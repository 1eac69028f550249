//! The server: one door through which every call goes, and the protocol handler in front of it.

mod admission;
mod caller;
mod denials;
mod door;
mod ending;
mod era;
mod handler;
mod identity;
mod listening;
mod record;
mod subscriptions;
mod work;

pub use caller::Held;
pub use denials::{Denial, Denials, Reason};
pub use door::{BeforeRun, Door, Limits, Stage};
pub use ending::{Ending, Stopped};
pub use era::Era;
pub use handler::{Registry, is_recorded, methods};
pub use identity::KeySource;
pub use record::{Envelope, Transport};
pub use work::{Summary, Work};
