//! Arbitrary bytes as a `SKILL.md`. A document that is accepted is within the limits, and its repair is conformant.

#![no_main]

use agent_skills::limits::MAX_DESCRIPTION_CHARS;
use agent_skills::{read_document, repair_document};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = read_document(bytes, "folder") else {
        return;
    };
    let chars = document.description.chars().count();
    assert!((1..=MAX_DESCRIPTION_CHARS).contains(&chars), "{chars}");
    assert!(
        !document
            .description
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t')
    );
    assert!(
        document
            .tags
            .iter()
            .all(|tag| !tag.is_empty() && !tag.contains('\0'))
    );
    assert!(
        bytes.ends_with(document.body.as_bytes()),
        "the body is the end of the file"
    );
    // PostgreSQL's jsonb cannot store a NUL.
    assert!(
        document
            .front_matter
            .iter()
            .all(|(name, value)| !name.contains('\0') && !has_nul(value))
    );
    if let Ok(Some(repaired)) = repair_document(bytes, "folder") {
        let name = document.name.as_str();
        let reread = read_document(&repaired, name).expect("a repaired document can be read");
        assert!(reread.is_conformant(), "{:?}", reread.diagnostics);
        assert_eq!(reread.name.as_str(), name);
        assert_eq!(reread.body, document.body);
    }
});
