//! The fixtures that return a task if the client supports tasks (SEP-2663). skillkeep itself does not use tasks.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
    CreateTaskResult, InputRequest,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions};
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use super::inputs;

pub(super) const TOOLS: [&str; 7] = [
    "greet",
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];

fn success(text: &str) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

/// Answers a call of one of [`TOOLS`].
pub(super) async fn answer(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
    tasks: &TaskManager,
) -> Result<CallToolResponse, ErrorData> {
    let argument = |name: &str| request.arguments.as_ref().and_then(|all| all.get(name));
    if request.name == "greet" {
        let name = argument("name").and_then(Value::as_str).unwrap_or_default();
        return Ok(success(&format!("Hello, {name}!")).into());
    }
    let supports_tasks = context
        .client_capabilities()
        .is_some_and(|declared| declared.supports_tasks());
    let needs_a_task = matches!(request.name.as_ref(), "failing_job" | "test_tool_with_task");
    if needs_a_task && !supports_tasks {
        let needed = ClientCapabilities::builder().enable_tasks().build();
        return Err(ErrorData::missing_required_client_capability(needed));
    }
    let greeted = inputs::user_name(request);
    if request.name == "test_tool_with_task" && greeted.is_none() {
        return inputs::ask_for_name();
    }
    let job = TaskJob {
        name: request.name.to_string(),
        seconds: argument("seconds").and_then(Value::as_f64).unwrap_or_default(),
        greeted: greeted.unwrap_or_default(),
    };
    if !supports_tasks {
        tokio::time::sleep(Duration::from_secs_f64(job.seconds)).await;
        return Ok(success("Done without a task.").into());
    }
    let options = TaskOptions::new().with_poll_interval_ms(100);
    let task = tasks.spawn(options, move |task| Box::pin(job.run(task)));
    Ok(CreateTaskResult::new(task).into())
}

struct TaskJob {
    name: String,
    seconds: f64,
    greeted: String,
}

impl TaskJob {
    async fn run(self, task: TaskContext) -> Result<CallToolResult, TaskExit> {
        match self.name.as_str() {
            "slow_compute" => tokio::select! {
                () = task.cancelled() => Err(TaskExit::Cancelled),
                () = tokio::time::sleep(Duration::from_secs_f64(self.seconds)) => Ok(success("Computed.")),
            },
            "failing_job" => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(CallToolResult::error(vec![ContentBlock::text("It failed.")]))
            }
            "confirm_delete" => {
                ask(&task, "confirm").await?;
                Ok(success("Deleted."))
            }
            "multi_input" => {
                tokio::try_join!(ask(&task, "first"), ask(&task, "second"))?;
                Ok(success("Both inputs received."))
            }
            "test_tool_with_task" => Ok(success(&format!("Hello, {}!", self.greeted))),
            _ => Err(TaskExit::Error(ErrorData::internal_error("It broke.", None))),
        }
    }
}

async fn ask(task: &TaskContext, key: &str) -> Result<Value, TaskExit> {
    let request = json!({"method": "elicitation/create", "params": {
        "mode": "form",
        "message": "Really?",
        "requestedSchema": {"type": "object", "properties": {"confirm": {"type": "boolean"}}, "required": ["confirm"]},
    }});
    let request: InputRequest = serde_json::from_value(request)
        .map_err(|error| TaskExit::Error(ErrorData::internal_error(error.to_string(), None)))?;
    task.request_input(key, request).await
}
