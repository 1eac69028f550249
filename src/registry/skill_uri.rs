//! `skill://<slug>/<version>/<name>/<path>`: how a file of a version is called in the protocol (SEP-2640).
//!
//! The version stands in the path, so what a URI names never changes. Each thing has one spelling: a URI that is written
//! in another way than ours names nothing.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use agent_skills::SKILL_MD;

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const SCHEME: &str = "skill://";
/// Longer than the longest path, percent-encoded, with what stands before it.
const MAX_URI_BYTES: usize = 8192;

/// A skill's folder in one version, or something inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillUri {
    slug: String,
    version: String,
    name: String,
    path: String,
}

impl SkillUri {
    /// The folder of a version with this front matter; `None` where the version's label cannot stand in a path.
    ///
    /// The folder is called what the skill calls itself, and by its slug where that is no name for a folder.
    #[must_use]
    pub fn folder(slug: &str, version: &str, front_matter: &Value) -> Option<Self> {
        let name = front_matter
            .get("name")
            .and_then(Value::as_str)
            .filter(|name| is_segment(name) && name.chars().count() <= 64)
            .unwrap_or(slug);
        is_segment(version).then(|| Self {
            slug: slug.to_owned(),
            version: version.to_owned(),
            name: name.to_owned(),
            path: String::new(),
        })
    }

    /// Reads a URI; `None` for one that is not spelled as ours are. A `/` at the end of a folder may be there or not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_URI_BYTES {
            return None;
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut segments = text.strip_prefix(SCHEME)?.split('/');
        let mut next = || {
            let decoded = percent_decode_str(segments.next()?).decode_utf8().ok()?;
            is_segment(&decoded).then(|| decoded.into_owned())
        };
        let (slug, version, name) = (next()?, next()?, next()?);
        let mut path = Vec::new();
        for segment in segments {
            let decoded = percent_decode_str(segment).decode_utf8().ok()?;
            path.push(is_segment(&decoded).then(|| decoded.into_owned())?);
        }
        let uri = Self {
            slug,
            version,
            name,
            path: path.join("/"),
        };
        (uri.to_string() == text).then_some(uri)
    }

    /// The same folder's file or folder at this path; the empty path is the folder itself.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self.clone()
        }
    }

    /// The folder's `SKILL.md`.
    #[must_use]
    pub fn skill_md(&self) -> Self {
        self.at(SKILL_MD)
    }

    /// The skill's slug.
    #[must_use]
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The version's label.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the folder is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path inside the folder, empty for the folder itself.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether both lie in one version's folder.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        (&self.slug, &self.version, &self.name) == (&other.slug, &other.version, &other.name)
    }
}

/// A text that a URI can carry between two slashes and that leads nowhere else.
fn is_segment(text: &str) -> bool {
    !text.is_empty() && text != "." && text != ".." && !text.contains(|c: char| c == '/' || c.is_control())
}

impl fmt::Display for SkillUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |text| utf8_percent_encode(text, RESERVED);
        write!(
            f,
            "{SCHEME}{}/{}/{}",
            encoded(&self.slug),
            encoded(&self.version),
            encoded(&self.name)
        )?;
        if self.path.is_empty() {
            return Ok(());
        }
        self.path
            .split('/')
            .try_for_each(|segment| write!(f, "/{}", encoded(segment)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn folder() -> SkillUri {
        SkillUri::folder("acme-pdf", "1.0+2", &json!({"name": "pdf"})).unwrap()
    }

    #[test]
    fn a_uri_carries_slug_version_name_and_path() {
        assert_eq!(folder().to_string(), "skill://acme-pdf/1.0%2B2/pdf");
        let file = folder().at("my docs/é.md");
        assert_eq!(
            file.to_string(),
            "skill://acme-pdf/1.0%2B2/pdf/my%20docs/%C3%A9.md"
        );
        assert_eq!(SkillUri::parse(&file.to_string()), Some(file));
    }

    #[test]
    fn each_thing_has_one_spelling() {
        for other in [
            "skill://acme-pdf/1.0+2/pdf",
            "skill://acme-pdf/1.0%2b2/pdf",
            "skill://acme-pdf/%31.0%2B2/pdf",
            "skill://acme-pdf/1.0%2B2//pdf",
            "skill://acme-pdf/1.0%2B2/pdf//SKILL.md",
            "skill://acme-pdf/1.0%2B2/pdf?x",
            "SKILL://acme-pdf/1.0%2B2/pdf",
            "skill://acme-pdf/1.0%2B2",
            "skill://acme-pdf/../pdf",
            "https://acme-pdf/1/pdf",
            "",
        ] {
            assert_eq!(SkillUri::parse(other), None, "{other}");
        }
        assert_eq!(SkillUri::parse("skill://acme-pdf/1.0%2B2/pdf/"), Some(folder()));
    }

    #[test]
    fn a_folder_without_a_usable_name_is_called_by_its_slug() {
        for name in [json!(null), json!(7), json!(""), json!("a/b"), json!("..")] {
            let uri = SkillUri::folder("pdf", "1", &json!({"name": name})).unwrap();
            assert_eq!(uri.to_string(), "skill://pdf/1/pdf", "{name}");
        }
        assert_eq!(SkillUri::folder("pdf", "..", &json!({"name": "pdf"})), None);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_either_one_of_ours_or_nothing(text in "(skill://)?[a-z0-9%./é \\PC]{0,40}") {
            if let Some(uri) = SkillUri::parse(&text) {
                prop_assert_eq!(uri.to_string(), text.trim_end_matches('/'));
            }
        }

        #[test]
        fn what_is_written_is_read_back(slug in "[a-z0-9-]{1,9}", version in "\\PC{1,9}", name in "\\PC{0,9}", path in "\\PC{0,20}") {
            if let Some(folder) = SkillUri::folder(&slug, &version, &json!({"name": name})) {
                let uri = folder.at(&path);
                if path.split('/').all(is_segment) {
                    prop_assert_eq!(SkillUri::parse(&uri.to_string()), Some(uri));
                }
            }
        }
    }
}
