//! The upload of an archive: a call of `publish_skill` whose files come from a zip or tar archive.
//!
//! It becomes the same tool call as over MCP, so that permission, limits, transaction and usage event are the same.

use std::ops::ControlFlow;
use std::sync::Arc;

use agent_skills::{ArchiveError, SKILL_MD, SkillFolder};
use rmcp::ErrorData;
use rmcp::model::{CallToolResult, JsonObject};
use serde_json::{Value, json};

use super::client_connection::ClientConnection;
use super::completion::Completion;
use super::errors;
use super::event_metadata::RequestMetadata;
use super::request::{RecordedRequest, RequestSummary, ToolCall};
use super::service::CallService;
use crate::access::CallGuard;
use crate::db::DbError;
use crate::registry::usage::CallOutcome;
use crate::tenancy::{ApiKey, Principal};
use crate::tools::{Call, CallContext, SideEffect, ToolName};

/// Why an upload contains no skill.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("the archive is larger than {} MiB: remove files that the skill does not need", .0 >> 20)]
    TooLarge(u64),
    #[error("the upload broke off before its end; nothing was published. Send it again")]
    BrokenOff,
    #[error("the archive did not arrive within {0} seconds; nothing was published. Send it again")]
    TimedOut(u64),
    #[error("{0}")]
    Parameters(String),
    /// The body has a `Content-Encoding`.
    #[error("{0}")]
    Encoded(&'static str),
}

impl UploadError {
    const fn outcome(&self) -> (CallOutcome, &'static str) {
        match self {
            Self::Archive(_) => (CallOutcome::InvalidArguments, "invalid_archive"),
            Self::TooLarge(_) => (CallOutcome::InvalidArguments, "archive_too_large"),
            Self::BrokenOff => (CallOutcome::ClientGone, "upload_broken_off"),
            Self::TimedOut(_) => (CallOutcome::TimedOut, "upload_timed_out"),
            Self::Parameters(_) => (CallOutcome::InvalidArguments, "invalid_arguments"),
            Self::Encoded(_) => (CallOutcome::InvalidArguments, "unsupported_encoding"),
        }
    }
}

/// A call of `publish_skill` from an archive, or the reason why there is none; or a call of a tool that takes no files.
pub struct Upload {
    tool: ToolName,
    /// The tool's arguments but the files.
    arguments: JsonObject,
    /// `None` for a call of a tool that takes no files.
    skill: Option<Result<SkillFolder, UploadError>>,
}

impl Upload {
    /// `arguments` are those of the tool, but `files`.
    #[must_use]
    pub const fn new(arguments: JsonObject, skill: Result<SkillFolder, UploadError>) -> Self {
        Self {
            tool: ToolName::PublishSkill,
            arguments,
            skill: Some(skill),
        }
    }

    /// A call of another tool, which comes by the same way.
    #[must_use]
    pub const fn without_files(tool: ToolName, arguments: JsonObject) -> Self {
        Self {
            tool,
            arguments,
            skill: None,
        }
    }

    /// The call with these files.
    fn call(tool: ToolName, mut arguments: JsonObject, files: Option<Vec<Value>>) -> ToolCall {
        if let Some(files) = files {
            arguments.insert("files".to_owned(), files.into());
        }
        ToolCall {
            name: tool.as_str().to_owned(),
            arguments: Some(arguments),
        }
    }
}

/// The answer to an upload.
#[derive(Debug)]
pub struct UploadReply {
    pub outcome: CallOutcome,
    /// Stable identifier of a failure.
    pub error_code: Option<&'static str>,
    /// The tool's output, or the message of a failure.
    pub body: Value,
}

impl UploadReply {
    fn failure(outcome: CallOutcome, error_code: &'static str, message: &str) -> Self {
        Self {
            outcome,
            error_code: Some(error_code),
            body: json!({"error": {"code": error_code, "message": message}}),
        }
    }

    fn of_tool(outcome: CallOutcome, error_code: Option<&'static str>, result: CallToolResult) -> Self {
        if let Some(code) = error_code {
            let texts = result.content.iter().filter_map(|block| block.as_text());
            let message: String = texts.map(|text| text.text.as_str()).collect();
            return Self::failure(outcome, code, &message);
        }
        Self {
            outcome,
            error_code,
            body: result.structured_content.unwrap_or_default(),
        }
    }

    /// An error of the protocol layer: the key became invalid, or the database did not answer.
    fn of_error(error: &ErrorData) -> Self {
        let (outcome, code) = if error.code == errors::INVALID_KEY {
            (CallOutcome::MissingScope, "invalid_key")
        } else {
            (CallOutcome::InternalError, "internal_error")
        };
        Self::failure(outcome, code, &error.message)
    }
}

impl Completion<CallToolResult> {
    fn into_upload(self) -> Completion<UploadReply> {
        let (outcome, error_code) = (self.outcome, self.error_code);
        Completion {
            outcome,
            error_code,
            subject: self.subject,
            result_count: self.result_count,
            is_weak: self.is_weak,
            result_bytes: self.result_bytes,
            reply: self
                .reply
                .map(|result| UploadReply::of_tool(outcome, error_code, result)),
            transaction: self.transaction,
        }
    }
}

fn refused(error: &UploadError) -> Completion<UploadReply> {
    let (outcome, code) = error.outcome();
    Completion::tool_error(outcome, code, format!("{error}.")).into_upload()
}

impl RecordedRequest for Upload {
    type Reply = UploadReply;
    type Checked = (ToolName, Call);

    fn loads_skill(&self) -> bool {
        self.skill.is_some()
    }

    fn summary(&self) -> RequestSummary {
        // The number of files is recorded, as for a call with files.
        let count =
            |skill: &Result<SkillFolder, UploadError>| skill.as_ref().map_or(0, |skill| skill.files.len());
        let files = self.skill.as_ref().map(|skill| vec![Value::Null; count(skill)]);
        Self::call(self.tool, self.arguments.clone(), files).summary()
    }

    fn check(self, principal: &Principal) -> ControlFlow<Completion<UploadReply>, Self::Checked> {
        let Some(skill) = self.skill else {
            let call = Self::call(self.tool, self.arguments, None);
            return call.check(principal).map_break(Completion::into_upload);
        };
        // A file that satisfies the schema. Those of the archive take its place.
        let placeholder = json!({"path": SKILL_MD, "text": ""});
        let call = Self::call(self.tool, self.arguments, Some(vec![placeholder]));
        match (call.check(principal), skill) {
            (ControlFlow::Continue((tool, Call::PublishSkill(input))), Ok(skill)) => {
                let call = Call::PublishSkill(Box::new(input.with_archive(skill)));
                ControlFlow::Continue((tool, call))
            }
            // A caller who may not publish learns nothing about the archive.
            (ControlFlow::Break(completion), Err(error))
                if completion.outcome != CallOutcome::MissingScope =>
            {
                ControlFlow::Break(refused(&error))
            }
            (ControlFlow::Continue(_), Err(error)) => ControlFlow::Break(refused(&error)),
            (checked, _) => checked.map_break(Completion::into_upload),
        }
    }

    fn side_effect(checked: &Self::Checked) -> SideEffect {
        ToolCall::side_effect(checked)
    }

    async fn run(checked: Self::Checked, cx: &CallContext<'_>) -> Result<Completion<UploadReply>, DbError> {
        ToolCall::run(checked, cx).await.map(Completion::into_upload)
    }

    fn error_reply(outcome: CallOutcome, message: String) -> Result<UploadReply, ErrorData> {
        Ok(UploadReply::failure(outcome, outcome.as_str(), &message))
    }

    fn over_limit(message: String) -> Completion<UploadReply> {
        ToolCall::over_limit(message).into_upload()
    }
}

impl CallService {
    /// Publishes an upload, or records why it is refused. `guard` is its share of the limits.
    pub async fn upload(
        self: &Arc<Self>,
        api_key: ApiKey,
        upload: Upload,
        metadata: RequestMetadata,
        guard: CallGuard,
    ) -> UploadReply {
        let client = ClientConnection::without_peer(Some(Arc::new(guard)));
        self.execute(api_key, upload, metadata, client)
            .await
            .unwrap_or_else(|error| UploadReply::of_error(&error))
    }
}
