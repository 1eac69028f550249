//! `skill://<slug>/<version>/<name>/<path>`: the URI of a file or folder of a version (Skills extension, SEP-2640).
//!
//! The version is part of the URI, so its content never changes. Each resource has exactly one spelling; other spellings
//! are not parsed.

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
/// Enough for the longest path in percent-encoding.
const MAX_URI_BYTES: usize = 8192;

/// The URI of a version's folder, or of a file or folder inside it.
///
/// ```
/// use serde_json::json;
/// use skillkeep::registry::skill_uri::SkillUri;
///
/// let folder = SkillUri::folder("acme-pdf", "1.0", &json!({"name": "pdf"})).unwrap();
/// let file = folder.at("my notes/a.md");
/// assert_eq!(file.to_string(), "skill://acme-pdf/1.0/pdf/my%20notes/a.md");
///
/// let parsed = SkillUri::parse("skill://acme-pdf/1.0/pdf/my%20notes/a.md").unwrap();
/// assert_eq!((parsed.slug(), parsed.version(), parsed.path()), ("acme-pdf", "1.0", "my notes/a.md"));
/// assert!(parsed.is_beside(&folder));
///
/// // Not percent-encoded as the server writes it.
/// assert_eq!(SkillUri::parse("skill://acme-pdf/1.0/pdf/my notes/a.md"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillUri {
    slug: String,
    version: String,
    name: String,
    path: String,
}

impl SkillUri {
    /// The template of the URIs of files (RFC 6570). `skill` is the slug.
    pub const TEMPLATE: &str = "skill://{skill}/{version}/{name}/{+path}";

    /// The folder of a version. It has the name from the front matter, or the slug if that name cannot be a URI segment.
    ///
    /// `None` if the version label cannot be a URI segment.
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

    /// Parses a URI; `None` if it is not spelled as [`fmt::Display`] writes it. A trailing `/` is optional.
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

    /// The file or folder at this path in the same version; an empty path is the version's folder.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self.clone()
        }
    }

    /// `SKILL.md` of the same version.
    #[must_use]
    pub fn skill_md(&self) -> Self {
        self.at(SKILL_MD)
    }

    #[must_use]
    pub fn slug(&self) -> &str {
        &self.slug
    }

    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The name of the version's folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path inside the version's folder, empty for the folder itself.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether both belong to the same version.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        (&self.slug, &self.version, &self.name) == (&other.slug, &other.version, &other.name)
    }
}

/// Whether the text can be one segment of a path, unchanged by path normalisation.
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
    fn uri_contains_slug_version_name_and_path() {
        assert_eq!(folder().to_string(), "skill://acme-pdf/1.0%2B2/pdf");
        let file = folder().at("my docs/é.md");
        assert_eq!(
            file.to_string(),
            "skill://acme-pdf/1.0%2B2/pdf/my%20docs/%C3%A9.md"
        );
        assert_eq!(SkillUri::parse(&file.to_string()), Some(file));
    }

    #[test]
    fn other_spellings_are_not_parsed() {
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
    fn folder_without_usable_name_is_named_by_slug() {
        for name in [json!(null), json!(7), json!(""), json!("a/b"), json!("..")] {
            let uri = SkillUri::folder("pdf", "1", &json!({"name": name})).unwrap();
            assert_eq!(uri.to_string(), "skill://pdf/1/pdf", "{name}");
        }
        assert_eq!(SkillUri::folder("pdf", "..", &json!({"name": "pdf"})), None);
    }

    proptest! {
        #[test]
        fn parsed_text_is_the_canonical_spelling(text in "(skill://)?[a-z0-9%./é \\PC]{0,40}") {
            if let Some(uri) = SkillUri::parse(&text) {
                prop_assert_eq!(uri.to_string(), text.trim_end_matches('/'));
            }
        }

        #[test]
        fn written_uri_parses_to_itself(slug in "[a-z0-9-]{1,9}", version in "\\PC{1,9}", name in "\\PC{0,9}", path in "\\PC{0,20}") {
            if let Some(folder) = SkillUri::folder(&slug, &version, &json!({"name": name})) {
                let uri = folder.at(&path);
                if path.split('/').all(is_segment) {
                    prop_assert_eq!(SkillUri::parse(&uri.to_string()), Some(uri));
                }
            }
        }
    }
}
