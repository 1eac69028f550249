//! Scripted tests: a file lists tool calls of named users and what each must answer. `docs/scripted-tests.md` describes the format.

mod comparison;
mod count;
mod events;
mod expectation;
mod file;
mod fixture;
mod junit;
mod pointer;
mod report;
mod runner;
mod skill_file;
mod step;
mod tap;
mod variables;

pub use file::{FileError, TestFile};
pub use fixture::{Fixture, FixtureError, TestUser};
pub use junit::to_junit;
pub use report::{RunReport, StepReport};
pub use runner::Runner;
pub use tap::to_tap;
