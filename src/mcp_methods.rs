//! What callers ask for besides tools: lists, reads of skills as resources and prompts, completions. One file each.
//!
//! As with tools, no method holds a connection or the pool. What leads around a tool needs what that tool needs: a key
//! that may not call `get_skill` reads no skill as a resource either.

mod complete;
mod directory_read;
mod media_type;
mod pagination;
mod prompts_get;
mod prompts_list;
mod resources_list;
mod resources_read;
mod skill_entry;
mod skills_get;
mod skills_list;
mod tools_list;

use std::future::Future;

pub use complete::Complete;
pub use directory_read::DirectoryRead;
pub use prompts_get::PromptsGet;
pub use prompts_list::PromptsList;
pub use resources_list::{ResourcesList, resource_templates};
pub use resources_read::ResourcesRead;
pub use skills_get::SkillsGet;
pub use skills_list::SkillsList;
pub use tools_list::ToolsList;

use crate::db::DbError;
use crate::registry::cursor::InvalidCursor;
use crate::registry::usage::Subject;
use crate::tenancy::Principal;
use crate::tools::{CallContext, ToolName};

/// How long a client may keep a list, in milliseconds. Short: it depends on the key, and changes with every import.
pub const LIST_TTL_MS: u64 = 60_000;
/// How long it may keep what a version holds, in milliseconds. A version never changes; who may read it does.
pub const VERSION_TTL_MS: u64 = 3_600_000;

/// A request of the protocol that reads the registry; its parameters are `Self`.
pub trait Method: Send + 'static {
    /// As the protocol calls it.
    const NAME: &'static str;
    /// The tool that gives the same, and whose permission it needs.
    const REQUIRED_PERMISSION: ToolName;
    /// What it answers with.
    type Reply: Send + 'static;

    /// The parameters that are recorded, by name; of their values only the size is.
    fn parameters(&self) -> Vec<(&'static str, &str)>;

    /// Reads.
    ///
    /// # Errors
    /// When what is asked for is not there or the database fails.
    fn run(
        self,
        cx: &CallContext<'_>,
    ) -> impl Future<Output = Result<MethodAnswer<Self::Reply>, MethodError>> + Send;
}

/// An answer with what its record needs.
#[derive(Debug)]
pub struct MethodAnswer<R> {
    /// The answer.
    pub reply: R,
    /// What it was about.
    pub subject: Subject,
    /// Bytes of its contents.
    pub bytes: usize,
}

impl<R> MethodAnswer<R> {
    fn new(reply: R) -> Self {
        Self {
            reply,
            subject: Subject::default(),
            bytes: 0,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum MethodError {
    /// Nothing has this URI: one answer for what is not there, what is another tenant's, and what the key may not see.
    #[error("There is no {what} \"{uri}\" in this registry. {next}")]
    UnknownUri {
        /// What it should have been: a resource, a skill, a directory.
        what: &'static str,
        /// The URI as it was sent.
        uri: String,
        /// What to do next.
        next: &'static str,
    },
    /// The parameters are not right; the text says how.
    #[error("{0}")]
    InvalidParameters(String),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<InvalidCursor> for MethodError {
    fn from(error: InvalidCursor) -> Self {
        Self::InvalidParameters(format!("Invalid cursor: {error}."))
    }
}

/// Whether the key may look through the catalog: what `search_skills` needs. A list shows nothing to one that may not.
fn may_browse(principal: &Principal) -> bool {
    ToolName::SearchSkills.allowed_for(principal)
}
