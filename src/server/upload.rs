//! The upload of an archive: a call of `publish_skill` whose files come from a zip or tar archive.
//!
//! It becomes the same tool call as over MCP, so that permission, limits, transaction and usage event are the same.

use std::ops::ControlFlow;
use std::sync::Arc;

use agent_skills::{ArchiveError, FolderError, SkillFile, SkillFolder};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("the archive is larger than {} MiB: remove files that the skill does not need", .0 >> 20)]
    TooLarge(u64),
    #[error("the upload broke off before its end; nothing was published. Send it again")]
    BrokenOff,
    #[error("the archive did not arrive within {0} seconds; nothing was published. Send it again")]
    TimedOut(u64),
    #[error("{0}")]
    Parameters(String),
}

impl UploadError {
    const fn outcome(&self) -> (CallOutcome, &'static str) {
        match self {
            Self::Archive(_) | Self::Folder(_) => (CallOutcome::InvalidArguments, "invalid_archive"),
            Self::TooLarge(_) => (CallOutcome::InvalidArguments, "archive_too_large"),
            Self::BrokenOff => (CallOutcome::ClientGone, "upload_broken_off"),
            Self::TimedOut(_) => (CallOutcome::TimedOut, "upload_timed_out"),
            Self::Parameters(_) => (CallOutcome::InvalidArguments, "invalid_arguments"),
        }
    }
}

/// What the sender of an archive can say about it.
#[derive(Debug, Default)]
pub struct UploadOptions {
    /// The version; otherwise that of the front matter, or the next number.
    pub version: Option<String>,
    pub change_note: Option<String>,
    /// Whether to store a draft.
    pub draft: Option<bool>,
}

/// A call of `publish_skill` from an archive, or the reason why there is none.
pub struct Upload {
    call: ToolCall,
    refused: Option<UploadError>,
    /// What the archive contained that is not part of the skill.
    notes: Vec<Value>,
}

impl Upload {
    /// A call with the files of a skill.
    #[must_use]
    pub fn new(skill: SkillFolder, options: UploadOptions) -> Self {
        let notes = skill
            .diagnostics
            .iter()
            .map(|note| json!({"code": note.code(), "message": note.to_string()}))
            .collect();
        let mut arguments = JsonObject::new();
        let files = skill.files.into_iter().map(file_argument).collect();
        arguments.insert("files".to_owned(), Value::Array(files));
        let options = [
            ("version", options.version.map(Value::from)),
            ("change_note", options.change_note.map(Value::from)),
            ("draft", options.draft.map(Value::from)),
        ];
        for (name, value) in options {
            if let Some(value) = value {
                arguments.insert(name.to_owned(), value);
            }
        }
        Self {
            call: publish_skill(arguments),
            refused: None,
            notes,
        }
    }

    /// An upload that is refused. It is recorded like a call.
    #[must_use]
    pub fn refused(error: UploadError) -> Self {
        Self {
            call: publish_skill(JsonObject::new()),
            refused: Some(error),
            notes: Vec::new(),
        }
    }
}

fn publish_skill(arguments: JsonObject) -> ToolCall {
    ToolCall {
        name: "publish_skill".to_owned(),
        arguments: Some(arguments),
    }
}

fn file_argument(file: SkillFile) -> Value {
    let path = file.path.as_str().to_owned();
    let mut argument = match String::from_utf8(file.bytes) {
        Ok(text) => json!({"path": path, "text": text}),
        Err(error) => json!({"path": path, "base64": STANDARD.encode(error.into_bytes())}),
    };
    if file.is_executable
        && let Some(fields) = argument.as_object_mut()
    {
        fields.insert("executable".to_owned(), true.into());
    }
    argument
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
            result_bytes: self.result_bytes,
            reply: self
                .reply
                .map(|result| UploadReply::of_tool(outcome, error_code, result)),
            transaction: self.transaction,
        }
    }
}

impl RecordedRequest for Upload {
    type Reply = UploadReply;
    type Checked = (ToolName, Call);

    fn summary(&self) -> RequestSummary {
        self.call.summary()
    }

    fn check(self, principal: &Principal) -> ControlFlow<Completion<UploadReply>, Self::Checked> {
        match (self.call.check(principal), self.refused) {
            // A caller who may not publish learns nothing about the archive.
            (ControlFlow::Break(completion), Some(error))
                if completion.outcome != CallOutcome::MissingScope =>
            {
                let (outcome, code) = error.outcome();
                let message = format!("{error}.");
                ControlFlow::Break(Completion::tool_error(outcome, code, message).into_upload())
            }
            (checked, _) => checked.map_break(Completion::into_upload),
        }
    }

    fn side_effect(checked: &Self::Checked) -> SideEffect {
        ToolCall::side_effect(checked)
    }

    async fn run(checked: Self::Checked, cx: &CallContext<'_>) -> Result<Completion<UploadReply>, DbError> {
        ToolCall::run(checked, cx).await.map(Completion::into_upload)
    }

    fn error_reply(message: String) -> Result<UploadReply, ErrorData> {
        Ok(UploadReply::failure(
            CallOutcome::InternalError,
            "internal_error",
            &message,
        ))
    }
}

impl CallService {
    /// Publishes an upload, or records why it is refused. `guard` is its share of the limits.
    pub async fn upload(
        self: &Arc<Self>,
        api_key: ApiKey,
        mut upload: Upload,
        metadata: RequestMetadata,
        guard: CallGuard,
    ) -> UploadReply {
        let notes = std::mem::take(&mut upload.notes);
        let client = ClientConnection::without_peer(Arc::new(guard));
        let mut reply = match self.execute(api_key, upload, metadata, client).await {
            Ok(reply) => reply,
            Err(error) => return UploadReply::of_error(&error),
        };
        if let (None, Some(body)) = (reply.error_code, reply.body.as_object_mut())
            && !notes.is_empty()
        {
            body.insert("archive_notes".to_owned(), Value::Array(notes));
        }
        reply
    }
}
