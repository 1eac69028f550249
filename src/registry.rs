//! The domain: skills and their versions, installs, usage and the audit log.
//!
//! Every function takes the [`TenantTx`](crate::db::TenantTx) that it works in, and every statement names the tenant
//! besides. Look-ups return an `Option`; only a tool turns absence into an error.

pub mod administration;
pub mod audit;
pub mod cursor;
pub mod import;
pub mod installs;
pub mod listing;
pub mod publish;
pub mod report;
pub mod samples;
pub mod skill_uri;
pub mod skills;
pub mod usage;
pub mod versions;
