//! Files that somebody passes off as a `SKILL.md`. Whatever is taken is within the limits, and mends into what conforms.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skillkeep::skill_format::{fix, read_document};

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = read_document(bytes, "folder") else {
        return;
    };
    let characters = document.description.chars().count();
    assert!((1..=1024).contains(&characters), "{characters}");
    assert!(!document.description.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    assert!(document.tags.iter().all(|tag| !tag.is_empty() && !tag.contains('\0')));
    assert!(bytes.ends_with(document.body.as_bytes()), "the body is the file's own");
    // As the database wants it: JSON without NUL.
    assert!(!serde_json::to_string(&document.front_matter).expect("JSON").contains("\\u0000"));
    if let Ok(Some(mended)) = fix(bytes, "folder") {
        let name = document.name.as_str();
        let again = read_document(&mended, name).expect("what was mended is read");
        assert!(again.is_conformant(), "{:?}", again.notes);
        assert_eq!(again.name.as_str(), name);
        assert_eq!(again.body, document.body);
    }
});
