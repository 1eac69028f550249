//! Progress of a command that installs skills: one line on a terminal, nothing elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::shown_text::visible;

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct ProgressArgs {
    /// Show no progress
    ///
    /// Progress is shown on a terminal only.
    #[arg(long, short)]
    quiet: bool,
}

/// The line. It is written to stderr and has no colors.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Progress over this many skills.
    pub(super) fn new(args: ProgressArgs, skills: usize) -> Self {
        let target = if args.quiet || !std::io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let length = u64::try_from(skills).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(length), target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} skill {pos} of {len}: {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Counts and names the skill that is worked on.
    pub(super) fn begin(&self, skill: &str) {
        self.0.inc(1);
        self.0.set_message(visible(skill).into_owned());
    }

    /// More skills than were known at the beginning.
    pub(super) fn add(&self, skills: usize) {
        self.0.inc_length(u64::try_from(skills).unwrap_or(u64::MAX));
    }

    /// Writes something else, with the line out of the way.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
