//! Parses arbitrary JSON as the arguments of a tool: accepted only as the tool's schema allows, else rejected with a message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use skillkeep::tools::{Call, Rejection, ToolName};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let tool = ToolName::ALL[usize::from(*first) % ToolName::ALL.len()];
    let Ok(Value::Object(arguments)) = serde_json::from_slice::<Value>(rest) else {
        return;
    };
    let schema = tool.describe().input_schema;
    let known = schema.get("properties").and_then(Value::as_object);
    match Call::parse(tool, arguments.clone()) {
        Ok(call) => {
            assert_eq!(call.name(), tool);
            for name in arguments.keys() {
                assert!(
                    known.is_some_and(|known| known.contains_key(name)),
                    "{name} is not in the schema"
                );
            }
            for required in schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                assert!(
                    required.as_str().is_some_and(|name| arguments.contains_key(name)),
                    "{required} is missing"
                );
            }
            assert!(!Value::Object(arguments).to_string().contains("\\u0000"));
        }
        Err(Rejection::InvalidArguments(message)) => assert!(!message.is_empty()),
        Err(Rejection::UnknownTool) => panic!("the tool exists"),
    }
});
