use serde_json::json;

use super::*;

fn reply(result: Value) -> CallReply {
    CallReply {
        outcome: Outcome::Ok,
        error_code: None,
        result,
        error: String::new(),
    }
}

fn refused(code: &str, text: &str) -> CallReply {
    CallReply {
        outcome: Outcome::ToolError,
        error_code: Some(code.to_owned()),
        result: Value::Null,
        error: text.to_owned(),
    }
}

fn differences(expected: Value, reply: &CallReply) -> Vec<String> {
    let expectation: Expectation = serde_json::from_value(expected).unwrap();
    expectation.check().unwrap();
    let values = Variables::from([("slug".to_owned(), json!("fill.pdf")), ("n".to_owned(), json!(2))]);
    expectation.differences(reply, &values).unwrap()
}

#[test]
fn met_expectations_have_no_difference() {
    let result = json!({"hits": [{"skill": "fill.pdf", "score": 2.0}, {}], "tags": {}, "next": null});
    for expected in [
        json!({}),
        json!({"outcome": "ok"}),
        json!({"equals": {"/hits/0/skill": "${slug}", "/hits/0/score": 2, "/hits/0/score": "${n}"}}),
        json!({"equals": {"/next": null, "/tags": {}, "/hits/0": {"score": 2, "skill": "fill.pdf"}}}),
        json!({"matches": {"/hits/0/skill": "^${slug}$", "/hits/0/score": "^2"}}),
        json!({"contains": {"/hits": {"skill": "${slug}"}, "/hits/0/skill": "fill"}}),
        json!({"contains": {"/hits": [{"score": 2}, {}]}}),
        json!({"count": {"/hits": 2, "/tags": 0, "": {"min": 2}}}),
        json!({"exists": ["/next", "/hits/1"], "absent": ["/hits/2", "/attic"]}),
    ] {
        assert_eq!(
            differences(expected.clone(), &reply(result.clone())),
            [""; 0],
            "{expected}"
        );
    }
}

#[test]
fn difference_names_pointer_expected_and_actual_value() {
    let result = json!({"hits": [{"skill": "fillXpdf"}], "next": null});
    for (expected, message) in [
        (
            json!({"equals": {"/hits/0/skill": "a"}}),
            "/hits/0/skill: expected \"a\", found \"fillXpdf\"",
        ),
        (
            json!({"equals": {"/hit": 1}}),
            "/hit: expected 1, found nothing; the result is an object with the keys hits, next",
        ),
        (
            json!({"matches": {"/hits/0/skill": "^${slug}$"}}),
            "/hits/0/skill: expected a text that matches ^fill\\.pdf$, found \"fillXpdf\"",
        ),
        (
            json!({"matches": {"/next": "."}}),
            "/next: expected a text that matches ., found null",
        ),
        (
            json!({"matches": {"/x": "."}}),
            "/x: expected a text that matches ., found nothing; the result is an object with the keys hits, next",
        ),
        (
            json!({"count": {"/hits": 2}}),
            "/hits: expected 2 items, found 1 items",
        ),
        (
            json!({"count": {"/next": {"min": 1, "max": 3}}}),
            "/next: expected a list of 1 to 3 items, found null",
        ),
        (
            json!({"count": {"/x": 0}}),
            "/x: expected a list of 0 items, found nothing; the result is an object with the keys hits, next",
        ),
        (
            json!({"exists": ["/hits/1"]}),
            "/hits/1: expected a value, found nothing; /hits is a list of 1 items",
        ),
        (
            json!({"absent": ["/next"]}),
            "/next: expected nothing, found null",
        ),
        (
            json!({"outcome": "tool_error"}),
            "outcome: expected tool_error, found ok",
        ),
        (json!({"error": {}}), "outcome: expected an error, found ok"),
    ] {
        assert_eq!(differences(expected, &reply(result.clone())), [message]);
    }
}

#[test]
fn error_is_compared_by_code_text_and_pattern() {
    let missing = refused("not_found", "There is no skill \"fill.pdf\".");
    for expected in [
        json!({"error": {}}),
        json!({"outcome": "tool_error"}),
        json!({"error": {"code": "not_found", "text": "no skill \"${slug}\"", "matches": "^There.*${slug}\"\\.$"}}),
    ] {
        assert_eq!(differences(expected.clone(), &missing), [""; 0], "{expected}");
    }
    let text = "There is no skill \"fill.pdf\".";
    for (expected, message) in [
        (
            json!({}),
            format!("outcome: expected ok, found tool_error (not_found): {text}"),
        ),
        (
            json!({"outcome": "missing_scope", "error": {"code": "x"}}),
            format!("outcome: expected missing_scope, found tool_error (not_found): {text}"),
        ),
        (
            json!({"error": {"code": "yanked"}}),
            format!("error code: expected yanked, found not_found: {text}"),
        ),
        (
            json!({"error": {"text": "yanked"}}),
            format!("error text: expected a text with \"yanked\", found \"{text}\""),
        ),
        (
            json!({"error": {"matches": "yanked$"}}),
            format!("error text: expected a text that matches yanked$, found \"{text}\""),
        ),
    ] {
        assert_eq!(differences(expected, &missing), [message]);
    }
}

#[test]
fn invalid_expectation_is_explained() {
    for (expected, message) in [
        (
            json!({"outcome": "fine"}),
            "not an outcome; the outcomes are ok, tool_error",
        ),
        (json!({"outcome": "ok", "error": {}}), "has no error"),
        (json!({"equals": {"hits": 1}}), "not a JSON pointer"),
        (json!({"absent": ["hits"]}), "not a JSON pointer"),
        (json!({"matches": {"/a": "("}}), "not a regular expression"),
        (json!({"error": {"matches": "["}}), "not a regular expression"),
    ] {
        let expectation: Expectation = serde_json::from_value(expected).unwrap();
        let error = expectation.check().unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    assert!(serde_json::from_value::<Expectation>(json!({"equal": {}})).is_err());
}

#[test]
fn variable_without_a_value_is_named() {
    let expectation: Expectation =
        serde_json::from_value(json!({"equals": {"/a": ["${attic}"]}, "absent": ["/${b}"]})).unwrap();
    assert_eq!(expectation.variables(), ["b", "attic"]);
    let differences = expectation.differences(&reply(json!({})), &Variables::new());
    assert_eq!(differences, Err("attic".to_owned()));
}

#[test]
fn long_value_is_shortened_at_a_character() {
    let found = differences(json!({"absent": ["/a"]}), &reply(json!({"a": "ä".repeat(1000)})));
    assert!(
        found[0].ends_with('…') && found[0].chars().count() < 450,
        "{}",
        found[0]
    );
}
