//! MCP tools: one file per tool.
//!
//! Invariant: a tool gets the caller's open transaction, never a connection or the pool.

mod arguments;
mod assistant;
mod call;
mod check_installed;
mod confirm_install;
mod device_report;
mod distributed;
mod error;
mod file_differences;
mod findings;
mod fork_skill;
mod get_skill;
mod install_skill;
mod labels;
mod name;
pub(crate) mod not_found;
mod publish_skill;
mod rate_skill;
mod recommend_skills;
mod record_usage;
mod review_skill;
mod schema;
mod search_answer;
mod search_filter;
mod search_ranking;
mod search_skills;
mod signature;
mod skill_answer;
mod skill_life;
mod text_page;
mod tool;
mod update_skill;
mod usage_report;
mod version_argument;
mod whoami;
mod yank_skill;

pub(crate) use arguments::MAX_VERSION_CHARS;
pub use call::Call;
pub(crate) use error::Refusal;
pub use error::{Rejection, ToolError};
pub use findings::FindingLine;
pub use name::{SideEffect, ToolName};
pub use publish_skill::PublishSkill;
pub use tool::{Answer, CallContext};
