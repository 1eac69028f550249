//! The integration tests: one binary, on a PostgreSQL of its own, in a database of its own for each test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that stumbles has failed, and should say where"
)]

mod embedded;
mod harness;
mod isolation;
mod keys;
mod outcomes;
mod schema;
mod smoke;
mod support;
