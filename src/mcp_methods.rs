//! The MCP methods besides `tools/call` that read the registry: lists, resources, prompts, completions. One file each.
//!
//! Invariants: as with tools, no method holds a connection or the pool. A method requires the permission of the tool that
//! returns the same data, so a key without `get_skill` cannot read a skill as a resource.

mod complete;
mod directory_read;
mod error;
mod media_type;
mod method;
mod pagination;
mod prompts_get;
mod prompts_list;
mod resources_list;
mod resources_read;
mod review_prompt;
mod skill_entry;
mod skills_get;
mod skills_list;
mod tools_list;

pub use complete::Complete;
pub use directory_read::DirectoryRead;
pub use error::{MethodError, UriKind};
pub use method::{LIST_TTL_MS, Method, MethodAnswer, VERSION_TTL_MS};
pub use prompts_get::PromptsGet;
pub use prompts_list::PromptsList;
pub use resources_list::{ResourcesList, resource_templates};
pub use resources_read::ResourcesRead;
pub use skills_get::SkillsGet;
pub use skills_list::SkillsList;
pub use tools_list::ToolsList;
