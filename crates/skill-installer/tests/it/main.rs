//! Tests of the crate: what is on the disk afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first error"
)]

#[cfg(not(feature = "test-util"))]
compile_error!("these tests need the feature test-util: pass --all-features");

mod changes;
mod crashes;
mod fixture;
mod hostile;
mod links;
mod project_files;
mod properties;
mod races;
mod records;
mod releases;
