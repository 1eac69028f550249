//! The `Method` trait and its result.

use std::future::Future;

use super::error::MethodError;
use crate::registry::usage::Subject;
use crate::tenancy::Principal;
use crate::tools::{CallContext, ToolName};

/// How long a client may cache a list, in milliseconds. Short, because a list depends on the key and changes with imports.
pub const LIST_TTL_MS: u64 = 60_000;
/// How long a client may cache the content of a version, in milliseconds. The content never changes, but permission may be
/// withdrawn.
pub const VERSION_TTL_MS: u64 = 3_600_000;

/// An MCP method that reads the registry. `Self` holds its parameters.
pub trait Method: Send + 'static {
    /// Name in the protocol.
    const NAME: &'static str;
    /// The key must be allowed to call this tool, which returns the same data.
    const REQUIRED_PERMISSION: ToolName;
    /// Whether a reply may hold a file of up to 16 MiB in memory, several times over.
    const LOADS_FILE: bool = false;
    type Reply: Send + 'static;

    /// The parameters to record in the usage event. Only the sizes of their values are recorded.
    fn parameters(&self) -> Vec<(&'static str, &str)>;

    /// Runs the method in the caller's transaction.
    ///
    /// # Errors
    /// [`MethodError`].
    fn run(
        self,
        cx: &CallContext<'_>,
    ) -> impl Future<Output = Result<MethodAnswer<Self::Reply>, MethodError>> + Send;
}

/// A method's reply, and what its usage event needs.
#[derive(Debug)]
pub struct MethodAnswer<R> {
    pub reply: R,
    /// The skill that was read.
    pub subject: Subject,
    /// Size of the content in bytes.
    pub bytes: usize,
}

impl<R> MethodAnswer<R> {
    pub(super) fn new(reply: R) -> Self {
        Self {
            reply,
            subject: Subject::default(),
            bytes: 0,
        }
    }
}

/// Whether the key may see the catalog, as with `search_skills`. Otherwise lists are empty.
pub(super) fn may_browse(principal: &Principal) -> bool {
    ToolName::SearchSkills.allowed_for(principal)
}
