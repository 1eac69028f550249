//! The integration tests: one binary, on a PostgreSQL of its own, in a database of its own for each test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that stumbles has failed, and should say where"
)]

mod attacks;
mod audit;
mod bridge;
mod cli;
mod connect;
mod corpus;
mod cursors;
mod embedded;
mod faults;
mod floors;
mod harness;
mod hostile;
mod http;
mod import;
mod isolation;
mod keys;
mod methods;
mod model;
mod outcomes;
mod privacy;
mod process;
mod publishing;
mod schema;
mod served;
mod smoke;
mod sse;
mod stdio;
mod subscriptions;
mod support;
