//! Compares JSON values: equality, and values that contain others.

use serde_json::Value;

/// Equality in which `1` and `1.0` are the same number.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| is_same(value, other)))
        }
        (
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
            _,
        ) => one == other,
    }
}

/// Whether a list has such an item, or a text such a part. An object is such an item if it has the expected fields; it may
/// have more.
pub(super) fn contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Array(items), part) => items.iter().any(|item| has_fields(item, part)),
        (Value::String(text), Value::String(part)) => text.contains(part),
        (value @ Value::Object(_), part @ Value::Object(_)) => has_fields(value, part),
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_), _) => false,
    }
}

fn has_fields(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Object(map), Value::Object(fields)) => fields
            .iter()
            .all(|(key, field)| map.get(key).is_some_and(|value| has_fields(value, field))),
        (value, expected) => is_same(value, expected),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        assert!(is_same(&json!({"a": [1, 2.0]}), &json!({"a": [1.0, 2]})));
        assert!(!is_same(&json!([1]), &json!([1, 1])));
        assert!(!is_same(&json!({"a": null}), &json!({})));
        assert!(!is_same(&json!("1"), &json!(1)));
    }

    #[test]
    fn item_may_have_more_fields_than_expected() {
        let list = json!([{"tool": "a", "calls": 2, "by": {"x": 1, "y": 2}}, "b"]);
        for part in [
            json!({"tool": "a"}),
            json!({"by": {"y": 2}}),
            json!("b"),
            json!({}),
        ] {
            assert!(contains(&list, &part), "{part}");
        }
        for part in [
            json!({"tool": "b"}),
            json!({"attic": null}),
            json!("a"),
            json!({"by": 1}),
        ] {
            assert!(!contains(&list, &part), "{part}");
        }
        assert!(contains(&json!("abc"), &json!("b")) && !contains(&json!("abc"), &json!("d")));
        assert!(contains(&json!({"a": 1, "b": 2}), &json!({"b": 2})));
        assert!(!contains(&json!(12), &json!(1)) && !contains(&json!(null), &json!(null)));
    }
}
