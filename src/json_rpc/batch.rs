//! Batches of messages, which protocol revision 2025-03-26 has and no other (JSON-RPC 2.0, section 6).

use serde::de::IgnoredAny;

use super::{INVALID_REQUEST, Malformed, NOT_A_MESSAGE, PARSE_ERROR, is_too_deep};

/// Messages of one batch.
pub const MAX_BATCH: usize = 32;

/// The messages of a batch, as they were sent.
///
/// # Errors
/// [`Malformed`] if the text is no JSON, or has no message or more than [`MAX_BATCH`].
pub fn split_batch(text: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    if is_too_deep(text) {
        let message = "The message is nested too deeply. The limit is 100 levels.";
        return Err(Malformed::new(INVALID_REQUEST, message));
    }
    if std::str::from_utf8(text).is_err() || serde_json::from_slice::<Vec<IgnoredAny>>(text).is_err() {
        return Err(Malformed::new(PARSE_ERROR, NOT_A_MESSAGE));
    }
    let messages = elements(text);
    match messages.len() {
        0 => Err(Malformed::new(INVALID_REQUEST, "Batches must have a message.")),
        1..=MAX_BATCH => Ok(messages),
        _ => {
            let message = "Batches may have 32 messages at most.";
            Err(Malformed::new(INVALID_REQUEST, message))
        }
    }
}

/// The elements of a valid JSON array. Those beyond the limit are one element.
fn elements(text: &[u8]) -> Vec<&[u8]> {
    let text = text.trim_ascii();
    let inside = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]"));
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let is_separator = |byte: &u8| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            b',' => return depth == 0 && !in_string,
            _ => {}
        }
        false
    };
    let parts = inside.unwrap_or_default().splitn(MAX_BATCH + 1, is_separator);
    parts
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn elements_are_split_outside_strings_and_brackets() {
        let text = br#" [ {"a": [1, 2], "b": "]," } ,7,"\",[" , [[]] ] "#;
        let elements: Vec<&[u8]> = vec![br#"{"a": [1, 2], "b": "]," }"#, b"7", br#""\",[""#, b"[[]]"];
        assert_eq!(split_batch(text), Ok(elements));
    }

    #[test]
    fn empty_long_and_invalid_batches_are_refused() {
        let of = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(
            split_batch(of(MAX_BATCH).as_bytes()).map(|all| all.len()),
            Ok(MAX_BATCH)
        );
        for (text, code) in [
            (of(MAX_BATCH + 1), INVALID_REQUEST),
            (of(100_000), INVALID_REQUEST),
            ("[]".to_owned(), INVALID_REQUEST),
            ("[".repeat(1_000_000), INVALID_REQUEST),
            ("[1,]".to_owned(), PARSE_ERROR),
            ("[1".to_owned(), PARSE_ERROR),
            ("[1] 2".to_owned(), PARSE_ERROR),
        ] {
            assert_eq!(
                split_batch(text.as_bytes()).map_err(|error| error.code),
                Err(code)
            );
        }
    }

    proptest! {
        #[test]
        fn each_element_is_the_json_that_was_sent(texts in proptest::collection::vec(".*", 1..10)) {
            let sent = Value::from(texts.clone()).to_string();
            let elements = split_batch(sent.as_bytes()).unwrap();
            let read: Vec<String> = elements.iter().map(|text| serde_json::from_slice(text).unwrap()).collect();
            prop_assert_eq!(read, texts);
        }

        #[test]
        fn any_text_is_split_without_panic(text: String) {
            let _split = split_batch(text.as_bytes());
        }
    }
}
