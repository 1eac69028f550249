//! skillkeep: a private, multi-tenant registry of Agent Skills, served over the Model Context Protocol.
//!
//! `ARCHITECTURE.md` describes the layers and the path of a call through them.

pub mod access;
mod answer_size;
pub mod bridge;
pub mod cli;
pub mod config;
pub mod db;
pub mod error;
pub mod fetches;
pub mod ids;
pub mod isolation_probe;
pub mod json_rpc;
pub mod local_install;
pub mod mcp_methods;
pub mod registry;
pub mod scripted;
pub mod search;
pub mod server;
pub mod shown_text;
pub mod telemetry;
pub mod tenancy;
pub mod tool_client;
pub mod tools;
pub mod transport;
