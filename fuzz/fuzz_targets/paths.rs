//! Arbitrary text as a path or URI of a skill. What is accepted stays inside its folder on every system and has one
//! spelling.

#![no_main]

use agent_skills::{SkillPath, check_collisions};
use libfuzzer_sys::fuzz_target;
use skillkeep::registry::skill_uri::SkillUri;

fuzz_target!(|text: &str| {
    if let Ok(path) = SkillPath::parse(text) {
        assert_eq!(path.as_str(), text);
        assert!(!text.contains(['\\', '\0', ':']) && !text.chars().any(char::is_control));
        let relative = std::path::Path::new(text);
        assert!(relative.is_relative());
        assert!(
            relative
                .components()
                .all(|component| matches!(component, std::path::Component::Normal(_)))
        );
        assert_eq!(
            relative.components().count(),
            text.split('/').count(),
            "no segment is empty or a dot"
        );
        assert!(check_collisions([&path, &path]).is_err(), "equal paths collide");
    }
    if let Some(uri) = SkillUri::parse(text) {
        let written = uri.to_string();
        assert_eq!(SkillUri::parse(&written).as_ref(), Some(&uri), "{written}");
        assert!(
            text == written
                || text.strip_suffix('/') == Some(&*written)
                || written.strip_suffix('/') == Some(text)
        );
        assert!(!uri.slug().contains('/') && !uri.version().contains('/') && !uri.name().contains('/'));
        assert!(!uri.path().split('/').any(|segment| segment == ".."));
    }
});
