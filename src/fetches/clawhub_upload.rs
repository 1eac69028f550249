//! The two requests by which the ClawHub client sends each file before it publishes. They change nothing: the client gets the file's
//! content back as the identifier of the upload, and sends all of them with the request that publishes. So there is nothing to keep
//! between the requests, and each may reach another process.

use agent_skills::limits::{MAX_PATH_BYTES, MAX_TOTAL_BYTES};

use super::fetch::{Fetch, Fetched};
use crate::registry::usage::Subject;
use crate::tools::{CallContext, ToolError, ToolName};

/// The client asks where it may send a file.
#[derive(Debug, Clone)]
pub struct ClawhubUploadUrl {
    /// Relative to the skill's folder.
    pub path: String,
    /// In bytes.
    pub size: u64,
}

impl Fetch for ClawhubUploadUrl {
    const NAME: &'static str = "clawhub/upload_url";
    const REQUIRED_PERMISSION: ToolName = ToolName::PublishSkill;
    const LOADS_SKILL: bool = false;
    type Output = ();

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        vec![("path", &self.path)]
    }

    async fn run(self, _cx: &CallContext<'_>) -> Result<Fetched<()>, ToolError> {
        if self.size > MAX_TOTAL_BYTES {
            return Err(ToolError::InvalidArguments(format!(
                "A skill has at most {} MiB. Remove files that it does not need.",
                MAX_TOTAL_BYTES >> 20
            )));
        }
        if self.path.is_empty() || self.path.len() > MAX_PATH_BYTES {
            let message = format!("A path of a skill has 1 to {MAX_PATH_BYTES} bytes. Rename the file.");
            return Err(ToolError::InvalidArguments(message));
        }
        Ok(fetched(0))
    }
}

/// The client sends a file.
#[derive(Debug, Clone)]
pub struct ClawhubUpload {
    /// The bytes that arrived, or why they did not.
    pub received: Result<usize, String>,
}

impl Fetch for ClawhubUpload {
    const NAME: &'static str = "clawhub/upload";
    const REQUIRED_PERMISSION: ToolName = ToolName::PublishSkill;
    const LOADS_SKILL: bool = false;
    type Output = ();

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    async fn run(self, _cx: &CallContext<'_>) -> Result<Fetched<()>, ToolError> {
        self.received.map(fetched).map_err(ToolError::InvalidArguments)
    }
}

fn fetched(bytes: usize) -> Fetched<()> {
    Fetched {
        output: (),
        subject: Subject::default(),
        count: None,
        bytes,
    }
}
