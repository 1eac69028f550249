//! Values that earlier steps saved, and `${name}` in the texts of later steps.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Values by name.
pub(super) type Variables = BTreeMap<String, Value>;

/// A part of a text.
enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Splits a text at its variables. `$${` stands for the text `${`.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            parts.extend([Part::Text(before), Part::Text("${")]);
            rest = after;
            continue;
        }
        let Some((name, behind)) = after.split_once('}') else {
            break;
        };
        parts.extend([Part::Text(before), Part::Variable(name)]);
        rest = behind;
    }
    parts.push(Part::Text(rest));
    parts
}

/// The variables that a text uses.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    parts(text).into_iter().filter_map(|part| match part {
        Part::Variable(name) => Some(name),
        Part::Text(_) => None,
    })
}

/// The variables that the texts inside a value use, keys included.
pub(super) fn names_in(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => names(text).collect(),
        Value::Array(items) => items.iter().flat_map(names_in).collect(),
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| names(key).chain(names_in(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// Replaces the variables in a text.
///
/// # Errors
/// The name of a variable that has no value.
pub(super) fn replace(text: &str, variables: &Variables) -> Result<String, String> {
    replace_with(text, variables, str::to_owned)
}

/// As [`replace`]; `quote` changes each value, for example for a regular expression.
pub(super) fn replace_with(
    text: &str,
    variables: &Variables,
    quote: impl Fn(&str) -> String,
) -> Result<String, String> {
    let mut replaced = String::new();
    for part in parts(text) {
        match part {
            Part::Text(text) => replaced.push_str(text),
            Part::Variable(name) => {
                let value = find(name, variables)?;
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                replaced.push_str(&quote(&text));
            }
        }
    }
    Ok(replaced)
}

/// Replaces the variables in all texts inside a value. A text that is one variable becomes its value, of any type.
///
/// # Errors
/// The name of a variable that has no value.
pub(super) fn replace_in(value: &Value, variables: &Variables) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => {
            let whole = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
            match whole.filter(|name| !name.contains(['}', '$'])) {
                Some(name) => find(name, variables)?.clone(),
                None => Value::String(replace(text, variables)?),
            }
        }
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| replace_in(item, variables))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(map) => Value::Object(replace_in_map(map, variables)?),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// As [`replace_in`], for an object. Keys may contain variables too.
pub(super) fn replace_in_map(
    map: &Map<String, Value>,
    variables: &Variables,
) -> Result<Map<String, Value>, String> {
    map.iter()
        .map(|(key, value)| Ok((replace(key, variables)?, replace_in(value, variables)?)))
        .collect()
}

fn find<'a>(name: &str, variables: &'a Variables) -> Result<&'a Value, String> {
    variables.get(name).ok_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn variables() -> Variables {
        Variables::from([
            ("id".to_owned(), json!("a.b")),
            ("n".to_owned(), json!(3)),
            ("list".to_owned(), json!([1])),
        ])
    }

    #[test]
    fn variable_alone_keeps_its_type_and_others_become_text() {
        let value = json!({"${id}": "${n}", "b": ["${list}", "v${n} of ${id}"], "c": "$${id} ${", "d": true});
        assert_eq!(
            replace_in(&value, &variables()).unwrap(),
            json!({"a.b": 3, "b": [[1], "v3 of a.b"], "c": "${id} ${", "d": true})
        );
        assert_eq!(names_in(&value), ["id", "n", "list", "n", "id"]);
    }

    #[test]
    fn unknown_variable_is_named() {
        assert_eq!(replace("x ${attic}", &variables()), Err("attic".to_owned()));
        assert_eq!(
            replace_in(&json!(["${attic}"]), &variables()),
            Err("attic".to_owned())
        );
    }

    #[test]
    fn value_is_quoted_for_a_regular_expression() {
        let pattern = replace_with("^${id}$", &variables(), regex::escape).unwrap();
        assert_eq!(pattern, r"^a\.b$");
    }

    proptest! {
        #[test]
        fn any_text_is_replaced_or_refused(text in "[$ {}an]{0,20}") {
            let _ = replace(&text, &variables());
            let _ = replace_in(&Value::String(text), &variables());
        }

        #[test]
        fn text_without_dollar_sign_stays(text in "[^$]{0,20}") {
            prop_assert_eq!(replace(&text, &variables()).unwrap(), text);
        }
    }
}
