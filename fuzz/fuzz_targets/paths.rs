//! Paths and URIs of skills. Whatever is taken stays inside its folder, on every system, and has one spelling.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skillkeep::registry::skill_uri::SkillUri;
use agent_skills::{SkillPath, check_collisions};

fuzz_target!(|text: &str| {
    if let Ok(path) = SkillPath::parse(text) {
        assert_eq!(path.as_str(), text);
        assert!(!text.contains(['\\', '\0', ':']) && !text.chars().any(char::is_control));
        let inside = std::path::Path::new(text);
        assert!(inside.is_relative());
        assert!(inside.components().all(|part| matches!(part, std::path::Component::Normal(_))));
        assert_eq!(inside.components().count(), text.split('/').count(), "no part is empty or a dot");
        assert!(check_collisions([&path, &path]).is_err(), "twice the same collides");
    }
    if let Some(uri) = SkillUri::parse(text) {
        let written = uri.to_string();
        assert_eq!(SkillUri::parse(&written).as_ref(), Some(&uri), "{written}");
        assert!(text == written || text.strip_suffix('/') == Some(&*written) || written.strip_suffix('/') == Some(text));
        assert!(!uri.slug().contains('/') && !uri.version().contains('/') && !uri.name().contains('/'));
        assert!(!uri.path().split('/').any(|part| part == ".."));
    }
});
