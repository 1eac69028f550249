//! The integration tests: one binary with its own PostgreSQL cluster, and one database for each test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic fails the test and shows where"
)]

#[cfg(not(feature = "test-util"))]
compile_error!("the integration tests need the feature test-util: run `./dev test`, or pass --all-features");

mod answer_sizes;
mod architecture;
mod attacks;
mod audit;
mod bridge;
mod call;
mod cli;
mod command;
mod connect;
mod corpus;
mod cursors;
mod demand;
mod denylist;
mod disk_commands;
mod distributing;
mod download;
mod embedded;
mod faults;
mod harness;
mod helpers;
mod hostile_registry;
mod http;
mod http_server;
mod import;
mod import_archives;
mod import_content;
mod import_parallel;
mod import_sources;
mod installing;
mod installs;
mod isolation;
mod keys;
mod lifecycle;
mod local_accounts;
mod local_install;
mod malformed_input;
mod meaning;
mod methods;
mod model;
mod native_clients;
mod outcomes;
mod pasted_texts;
mod privacy;
mod publish_command;
mod publishing;
mod quickstart;
mod removals;
mod scan;
mod schema;
mod scripted;
mod search_answers;
mod search_eval;
mod search_index;
mod signing;
mod smoke;
mod sse;
mod stdio;
mod subscriptions;
mod tool_answers;
mod upload;
mod usage_days;
