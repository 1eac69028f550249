//! JSON pointers (RFC 6901) into the result of a call.

use serde_json::Value;

/// Why the text is not a JSON pointer.
pub(super) fn check(pointer: &str) -> Result<(), String> {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(format!(
            "\"{pointer}\" is not a JSON pointer; begin it with /, as in /hits/0/skill"
        ));
    }
    let mut rest = pointer;
    while let Some((_, after)) = rest.split_once('~') {
        if !after.starts_with(['0', '1']) {
            return Err(format!(
                "\"{pointer}\" is not a JSON pointer; write ~ as ~0 and / inside a name as ~1"
            ));
        }
        rest = after;
    }
    Ok(())
}

/// Says where a pointer stops to lead anywhere: the longest part that exists, and what is there.
pub(super) fn explain_missing(value: &Value, pointer: &str) -> String {
    let mut parent = pointer;
    while let Some((shorter, _)) = parent.rsplit_once('/') {
        parent = shorter;
        if let Some(found) = value.pointer(parent) {
            let place = if parent.is_empty() {
                "the result".to_owned()
            } else {
                parent.to_owned()
            };
            return format!("nothing; {place} is {}", describe(found));
        }
    }
    "nothing".to_owned()
}

fn describe(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "an empty object".to_owned(),
        Value::Object(map) => {
            let keys: Vec<&str> = map.keys().map(String::as_str).collect();
            format!("an object with the keys {}", keys.join(", "))
        }
        Value::Array(items) => format!("a list of {} items", items.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointer_needs_a_slash_and_valid_escapes() {
        for valid in ["", "/", "/a", "/a~1b/0", "/a~0"] {
            check(valid).unwrap();
        }
        for invalid in ["a", "$.a", "/a~", "/a~2"] {
            assert!(
                check(invalid).unwrap_err().contains("not a JSON pointer"),
                "{invalid}"
            );
        }
    }

    #[test]
    fn missing_value_is_explained_by_its_nearest_parent() {
        let value = json!({"hits": [{"skill": "a"}], "n": {}});
        for (pointer, expected) in [
            ("/hit", "nothing; the result is an object with the keys hits, n"),
            ("/hits/3/skill", "nothing; /hits is a list of 1 items"),
            ("/hits/0/skill/x", "nothing; /hits/0/skill is \"a\""),
            ("/n/x", "nothing; /n is an empty object"),
        ] {
            assert_eq!(explain_missing(&value, pointer), expected);
        }
        assert_eq!(explain_missing(&Value::Null, "/a"), "nothing; the result is null");
    }
}
