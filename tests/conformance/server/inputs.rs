//! The fixtures that request input from the client before they answer (SEP-2322).

use std::collections::BTreeMap;

use ring::hmac;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, InputRequests, InputRequiredResult, PromptMessage, Role,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

type Responses = BTreeMap<String, Value>;

fn elicitation(message: &str, field: &str, kind: &str) -> Value {
    json!({"method": "elicitation/create", "params": {
        "mode": "form",
        "message": message,
        "requestedSchema": {"type": "object", "properties": {field: {"type": kind}}, "required": [field]},
    }})
}

fn sampling(text: &str, max_tokens: u32) -> Value {
    json!({"method": "sampling/createMessage", "params": {
        "messages": [{"role": "user", "content": {"type": "text", "text": text}}],
        "maxTokens": max_tokens,
    }})
}

fn roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}

fn required(requests: Value, state: Option<&str>) -> Result<InputRequiredResult, ErrorData> {
    let requests: InputRequests = serde_json::from_value(requests)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(InputRequiredResult::new(Some(requests), state.map(seal)))
}

fn key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, b"a key for conformance fixtures")
}

/// A state that the client returns unchanged, with a signature.
fn seal(state: &str) -> String {
    let signature = hmac::sign(&key(), state.as_bytes());
    let hex: String = signature
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{state}.{hex}")
}

/// The state inside; an error if it was tampered with.
fn open(sealed: Option<&str>) -> Result<Option<&str>, ErrorData> {
    match sealed {
        None => Ok(None),
        Some(sealed) => match sealed.rsplit_once('.') {
            Some((state, _)) if seal(state) == sealed => Ok(Some(state)),
            Some(_) | None => Err(ErrorData::invalid_params("The requestState is not valid.", None)),
        },
    }
}

/// The name that the user entered.
pub(super) fn user_name(request: &CallToolRequestParams) -> Option<String> {
    let given = request.input_responses.as_ref()?;
    Some(filled_in(given, "user_name", "name")?.as_str()?.to_owned())
}

/// Requests the user's name.
pub(super) fn ask_for_name() -> Result<CallToolResponse, ErrorData> {
    let name = elicitation("What is your name?", "name", "string");
    required(json!({"user_name": name}), None).map(CallToolResponse::from)
}

/// The value that the user entered.
fn filled_in<'a>(responses: &'a Responses, request: &str, field: &str) -> Option<&'a Value> {
    let response = responses.get(request)?;
    (response.get("action")? == "accept").then(|| response.get("content")?.get(field))?
}

fn done(text: &str) -> Result<CallToolResponse, ErrorData> {
    Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
}

/// Answers a call of a tool that requires input.
pub(super) fn answer(
    tool: &str,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let none = Responses::new();
    let given = request.input_responses.as_ref().unwrap_or(&none);
    let state = open(request.request_state.as_deref())?;
    let name = elicitation("What is your name?", "name", "string");
    let ask = |requests, state| required(requests, state).map(CallToolResponse::from);
    match tool {
        "test_input_required_result_elicitation" | "test_streaming_elicitation" => match user_name(request) {
            Some(name) => done(&format!("Hello, {name}!")),
            None => ask_for_name(),
        },
        "test_input_required_result_sampling" => match given.get("capital_question") {
            Some(answer) => done(&answer.to_string()),
            None => ask(
                json!({"capital_question": sampling("What is the capital of France?", 100)}),
                None,
            ),
        },
        "test_input_required_result_list_roots" => match given.get("client_roots") {
            Some(answer) => done(&answer.to_string()),
            None => ask(json!({"client_roots": roots()}), None),
        },
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            match (filled_in(given, "confirm", "ok"), state) {
                (Some(_), Some("asked")) => done("state-ok"),
                (Some(_) | None, _) => ask(
                    json!({"confirm": elicitation("Please confirm", "ok", "boolean")}),
                    Some("asked"),
                ),
            }
        }
        "test_input_required_result_multiple_inputs" => {
            if ["user_name", "greeting", "client_roots"]
                .iter()
                .all(|request| given.contains_key(*request))
            {
                return done("All inputs received.");
            }
            let greeting = sampling("Generate a greeting", 50);
            let requests = json!({"user_name": name, "greeting": greeting, "client_roots": roots()});
            ask(requests, Some("asked"))
        }
        "test_input_required_result_multi_round" => {
            let color = elicitation("Step 2: What is your favorite color?", "color", "string");
            match state {
                Some("round-2") if given.contains_key("step2") => done("Both rounds are complete."),
                Some("round-1") if given.contains_key("step1") => {
                    ask(json!({"step2": color}), Some("round-2"))
                }
                _ => {
                    let step = elicitation("Step 1: What is your name?", "name", "string");
                    ask(json!({"step1": step}), Some("round-1"))
                }
            }
        }
        "test_input_required_result_capabilities" => {
            let declared = context.client_capabilities().unwrap_or_default();
            let mut requests = serde_json::Map::new();
            if declared.elicitation.is_some() {
                requests.insert("user_name".to_owned(), name);
            }
            if declared.sampling.is_some() {
                requests.insert("greeting".to_owned(), sampling("Generate a greeting", 50));
            }
            ask(Value::Object(requests), None)
        }
        _ => Err(ErrorData::invalid_params(
            format!("Unknown fixture: {tool}"),
            None,
        )),
    }
}

/// Answers the prompt that requires input.
pub(super) fn prompt(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let none = Responses::new();
    let given = request.input_responses.as_ref().unwrap_or(&none);
    match filled_in(given, "user_context", "context").and_then(Value::as_str) {
        Some(context) => {
            let message = PromptMessage::new_text(Role::User, format!("In the context of {context}."));
            Ok(GetPromptResult::new(vec![message]).into())
        }
        None => {
            let ask = elicitation("What context should the prompt use?", "context", "string");
            required(json!({"user_context": ask}), None).map(GetPromptResponse::from)
        }
    }
}
