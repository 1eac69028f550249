//! MCP tools: one file per tool.
//!
//! Invariant: a tool gets the caller's open transaction, never a connection or the pool.

mod arguments;
mod call;
mod confirm_install;
mod error;
mod get_skill;
mod install_skill;
mod labels;
mod name;
mod record_usage;
mod schema;
mod search_skills;
mod tool;
mod usage_report;
mod whoami;

pub use call::Call;
pub use error::{Rejection, ToolError};
pub use name::{SideEffect, ToolName};
pub use tool::{Answer, CallContext};
