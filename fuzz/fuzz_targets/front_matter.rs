//! Files that somebody passes off as a `SKILL.md`. Whatever is taken is within the limits, and mends into what conforms.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use agent_skills::{fix, read_document};

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = read_document(bytes, "folder") else {
        return;
    };
    let characters = document.description.chars().count();
    assert!((1..=1024).contains(&characters), "{characters}");
    assert!(!document.description.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    assert!(document.tags.iter().all(|tag| !tag.is_empty() && !tag.contains('\0')));
    assert!(bytes.ends_with(document.body.as_bytes()), "the body is the file's own");
    // As the database wants it.
    assert!(document.front_matter.iter().all(|(name, value)| !name.contains('\0') && !has_nul(value)));
    if let Ok(Some(mended)) = fix(bytes, "folder") {
        let name = document.name.as_str();
        let again = read_document(&mended, name).expect("what was mended is read");
        assert!(again.is_conformant(), "{:?}", again.notes);
        assert_eq!(again.name.as_str(), name);
        assert_eq!(again.body, document.body);
    }
});
