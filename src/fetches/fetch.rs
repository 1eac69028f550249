//! The `Fetch` trait and its result.

use std::future::Future;

use crate::registry::usage::Subject;
use crate::tools::{CallContext, ToolError, ToolName};

/// A recorded read over plain HTTP. `Self` holds its parameters.
pub trait Fetch: Send + 'static {
    /// The name in usage events.
    const NAME: &'static str;
    /// The key must be allowed to call this tool, which returns the same data.
    const REQUIRED_PERMISSION: ToolName;
    /// Whether it may hold all files of a skill in memory, several times over.
    const LOADS_SKILL: bool;
    type Output: Send + 'static;

    /// The parameters to record in the usage event. Only the sizes of their values are recorded.
    fn parameters(&self) -> Vec<(&'static str, &str)>;

    /// Runs it in the caller's transaction.
    ///
    /// # Errors
    /// [`ToolError`]: what it refuses, or an error of the database.
    fn run(
        self,
        cx: &CallContext<'_>,
    ) -> impl Future<Output = Result<Fetched<Self::Output>, ToolError>> + Send;
}

/// The output of a fetch, and what its usage event needs.
#[derive(Debug)]
pub struct Fetched<T> {
    pub output: T,
    /// The version that was read.
    pub subject: Subject,
    /// Number of skills that were listed.
    pub count: Option<usize>,
    /// Size of the content in bytes.
    pub bytes: usize,
}
