//! The domain: skills, versions, installs, usage and the audit log.
//!
//! Every function takes the [`TenantTx`](crate::db::TenantTx) that it works in, and every statement also names the tenant.
//! A look-up returns an `Option`; only a tool turns absence into an error. A function that returns
//! [`DbError`](crate::db::DbError) fails if the database is unavailable or rejects the statement; the transaction must then
//! be rolled back.

pub mod administration;
pub mod archives;
pub mod audit;
pub mod caller;
pub mod cursor;
pub mod denylist;
mod display_metadata;
pub mod distributions;
pub mod fork;
pub mod import;
pub mod installed;
pub mod installs;
mod latest;
pub mod lifecycle;
pub mod listing;
pub mod management;
pub mod overview;
pub mod private_keys;
pub mod publish;
pub mod ratings;
pub mod report;
pub mod reviews;
mod revision;
pub mod samples;
pub mod scans;
pub mod settings;
pub mod signing;
pub mod skill_uri;
pub mod skills;
pub mod usage;
pub mod versions;
