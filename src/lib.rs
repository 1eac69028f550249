//! skillkeep: a private, multi-tenant registry of Agent Skills, served over the Model Context Protocol.
//!
//! `ARCHITECTURE.md` shows the floors of the crate and the path of a call through them.

pub mod ids;
