//! The integration tests: one binary, on a PostgreSQL of its own, in a database of its own for each test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that stumbles has failed, and should say where"
)]

mod architecture;
mod attacks;
mod audit;
mod bridge;
mod cli;
mod command;
mod connect;
mod corpus;
mod cursors;
mod embedded;
mod faults;
mod harness;
mod helpers;
mod http;
mod http_server;
mod import;
mod isolation;
mod keys;
mod malformed_input;
mod methods;
mod model;
mod outcomes;
mod privacy;
mod publishing;
mod schema;
mod smoke;
mod sse;
mod stdio;
mod subscriptions;
