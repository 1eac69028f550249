#![expect(
    deprecated,
    reason = "the suite tests what the newest protocol version deprecates"
)]
//! The fixture tools. Their calls pass through the service, so each is authenticated, timed and recorded.

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, LoggingLevel,
    LoggingMessageNotificationParam, ProgressNotificationParam,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::TaskManager;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};
use skillkeep::registry::usage::CallOutcome;
use skillkeep::server::{Completion, ExecutionContext, RecordedRequest, RequestSummary};
use skillkeep::tools::SideEffect;
use std::time::Duration;

use super::handler::Changes;
use super::{inputs, tasks};

/// A PNG image with one red pixel.
pub(super) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A WAV file without samples.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

/// A call of a fixture tool.
pub(super) struct FixtureCall {
    pub(super) request: CallToolRequestParams,
    pub(super) context: RequestContext<RoleServer>,
    pub(super) changes: std::sync::Arc<Changes>,
    pub(super) tasks: TaskManager,
}

impl RecordedRequest for FixtureCall {
    type Reply = CallToolResponse;

    fn summary(&self) -> RequestSummary {
        RequestSummary {
            name: self.request.name.to_string(),
            arguments: json!({}),
            idempotency_key: None,
        }
    }

    async fn run(self, execution: &ExecutionContext<'_>) -> Completion<CallToolResponse> {
        let name = self.request.name.to_string();
        match execution
            .run_with_deadline(&name, SideEffect::Reads, self.answer())
            .await
        {
            Ok(Ok(reply)) => Completion::success(reply, 0),
            Ok(Err(error)) => Completion::failure(CallOutcome::ToolError, "fixture", Err(error)),
            Err(stopped) => Completion::stopped(&name, &stopped, |message| {
                Err(ErrorData::internal_error(message, None))
            }),
        }
    }
}

impl FixtureCall {
    async fn answer(self) -> Result<CallToolResponse, ErrorData> {
        let content = match self.request.name.as_ref() {
            "test_simple_text" => json!([text("This is a simple text response for testing.")]),
            "test_image_content" => json!([{"type": "image", "data": PNG, "mimeType": "image/png"}]),
            "test_audio_content" => json!([{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]),
            "test_embedded_resource" => json!([resource(
                "test://embedded-resource",
                "text/plain",
                "This is an embedded resource content."
            )]),
            "test_multiple_content_types" => json!([
                text("Multiple content types test:"),
                {"type": "image", "data": PNG, "mimeType": "image/png"},
                resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
            ]),
            "test_tool_with_logging" => {
                self.log().await;
                json!([text("It was logged.")])
            }
            "test_tool_with_progress" => {
                self.progress().await;
                json!([text("It progressed.")])
            }
            "test_error_handling" => {
                let message = ContentBlock::text("This tool intentionally returns an error for testing");
                return Ok(CallToolResult::error(vec![message]).into());
            }
            "test_missing_capability" => {
                let needed = ClientCapabilities::builder().enable_sampling().build();
                return Err(ErrorData::missing_required_client_capability(needed));
            }
            "test_trigger_tool_change" => {
                self.changes.announce(super::handler::Change::Tools);
                json!([text("The tools changed.")])
            }
            "test_trigger_prompt_change" => {
                self.changes.announce(super::handler::Change::Prompts);
                json!([text("The prompts changed.")])
            }
            // The client has not enabled log messages, so none are sent.
            "test_logging_tool" | "json_schema_2020_12_tool" | "test_custom_header" => json!([text("Done.")]),
            name if tasks::TOOLS.contains(&name) => {
                return tasks::answer(&self.request, &self.context, &self.tasks).await;
            }
            other => return inputs::answer(other, &self.request, &self.context),
        };
        let result: CallToolResult =
            serde_json::from_value(json!({"resultType": "complete", "content": content}))
                .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        Ok(result.into())
    }

    async fn log(&self) {
        for text in [
            "Tool execution started",
            "Tool processing data",
            "Tool execution completed",
        ] {
            let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(text));
            let _sent = self.context.peer.notify_logging_message(message).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The service itself sends the first notification, when the call starts.
    async fn progress(&self) {
        for progress in [50.0, 100.0] {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if let Some(token) = self.context.meta.get_progress_token() {
                let notification = ProgressNotificationParam::new(token, progress).with_total(100.0);
                let _sent = self.context.peer.notify_progress(notification).await;
            }
        }
    }
}

pub(super) fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

pub(super) fn resource(uri: &str, media_type: &str, text: &str) -> Value {
    json!({"type": "resource", "resource": {"uri": uri, "mimeType": media_type, "text": text}})
}
