use super::*;

fn outcome(text: &[u8]) -> Result<Option<String>, i32> {
    check(text)
        .map(|form| form.method)
        .map_err(|malformed| malformed.code)
}

#[test]
fn well_formed_messages_are_told_by_their_method() {
    for (good, method) in [
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#, Some("ping")),
        (r#"{"jsonrpc": "2.0", "id": "a", "method": "ping"}"#, Some("ping")),
        (
            r#"{"jsonrpc": "2.0", "method": "notifications/initialized", "params": {"a": [1.5, null]}}"#,
            Some("notifications/initialized"),
        ),
        (r#"{"jsonrpc": "2.0", "id": 1, "result": {}}"#, None),
    ] {
        assert_eq!(outcome(good.as_bytes()), Ok(method.map(str::to_owned)), "{good}");
    }
}

#[test]
fn malformed_messages_are_refused_with_code_and_known_id() {
    for (bad, code, id) in [
        ("", PARSE_ERROR, None),
        ("{", PARSE_ERROR, None),
        ("\u{feff}{}", PARSE_ERROR, None),
        ("7", INVALID_REQUEST, None),
        (
            r#"[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]"#,
            INVALID_REQUEST,
            None,
        ),
        (r#"{"id": 1, "method": "ping"}"#, INVALID_REQUEST, Some(1)),
        (
            r#"{"jsonrpc": "1.0", "id": 1, "method": "ping"}"#,
            INVALID_REQUEST,
            Some(1),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": null, "method": "ping"}"#,
            INVALID_REQUEST,
            None,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}"#,
            INVALID_REQUEST,
            None,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": {}, "method": "ping"}"#,
            INVALID_REQUEST,
            None,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": true, "method": "ping"}"#,
            INVALID_REQUEST,
            None,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "ping"}"#,
            INVALID_REQUEST,
            None,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": 7}"#,
            INVALID_REQUEST,
            Some(1),
        ),
        (r#"{"jsonrpc": "2.0", "id": 1}"#, INVALID_REQUEST, Some(1)),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1e400]}"#,
            INVALID_PARAMS,
            Some(1),
        ),
    ] {
        let malformed = check(bad.as_bytes()).unwrap_err();
        assert_eq!(
            (malformed.code, malformed.id),
            (code, id.map(Value::from)),
            "{bad}"
        );
    }
    assert_eq!(outcome(&[0xff, 0xfe]), Err(PARSE_ERROR));
}

#[test]
fn deep_nesting_is_refused_in_every_field() {
    let deep = "[".repeat(1_000_000);
    for field in ["params", "id", "jsonrpc", "method", "result", "other"] {
        let message = format!(r#"{{"jsonrpc": "2.0", "{field}": {deep}"#);
        let malformed = check(message.as_bytes()).unwrap_err();
        assert_eq!(malformed.code, INVALID_REQUEST, "{field}");
        assert!(malformed.message.contains("nested"), "{field}");
    }
    let brackets_in_a_string = format!(r#"{{"jsonrpc": "2.0", "method": "\\\"{deep}"}}"#);
    assert!(check(brackets_in_a_string.as_bytes()).is_ok());
}

#[test]
fn duplicate_fields_of_params_are_found_at_any_depth() {
    for (params, duplicate) in [
        (r#"{"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}]}"#, None),
        (r#"{"a": 1, "a": 1}"#, Some("a")),
        (r#"{"x": {"y": [0, {"b": true, "b": null}]}}"#, Some("b")),
        (r#"{"x": {"c": "", "\u0063": ""}}"#, Some("c")),
        (r"null", None),
        (r"[-1, 1.5, []]", None),
    ] {
        let message = format!(r#"{{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {params}}}"#);
        let form = check(message.as_bytes()).unwrap();
        assert_eq!(form.duplicate.as_deref(), duplicate, "{params}");
    }
}
