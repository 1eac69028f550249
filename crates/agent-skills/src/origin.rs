//! Where a skill was installed from, as the lock files of installers say.

use std::path::Path;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::json_file::JsonFiles;
use crate::limits::MAX_LABEL_CHARS;
use crate::metadata::label;

/// Maximum length of an address or path in characters; a longer one is shortened.
const MAX_SOURCE_CHARS: usize = 1024;

/// The origin of an installed copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Registry or repository, without user name and password.
    pub source: String,
    /// The skill's name there.
    pub name: String,
    /// The installed version, one line, at most [`MAX_LABEL_CHARS`] characters.
    pub version: Option<String>,
    /// Branch, tag or commit.
    pub reference: Option<String>,
    /// The installer's own hash over the files.
    pub hash: Option<String>,
}

/// Finds the origin of the skill in `folder`: in the skill itself (ClawHub's `.clawhub/origin.json` and `_meta.json`), else
/// in the innermost `skills-lock.json` or `.clawhub/lock.json` around it, up to `root`.
pub(crate) fn origin_of(root: &Path, folder: &Path, files: &mut JsonFiles<'_>) -> Option<Origin> {
    if let Some(origin) = files.object(folder.join(".clawhub/origin.json")) {
        return Some(Origin {
            source: source(&origin, &["registry"]).unwrap_or_else(|| "ClawHub".to_owned()),
            name: label(&origin, "slug", MAX_LABEL_CHARS)?,
            version: label(&origin, "installedVersion", MAX_LABEL_CHARS),
            reference: None,
            hash: label(&origin, "fingerprint", MAX_SOURCE_CHARS),
        });
    }
    // Other programs write files of this name, too.
    let published = files.object_once(&folder.join("_meta.json"));
    if let Some(meta) = published.filter(|meta| meta.contains_key("ownerId")) {
        return Some(Origin {
            source: "ClawHub".to_owned(),
            name: label(&meta, "slug", MAX_LABEL_CHARS)?,
            version: label(&meta, "version", MAX_LABEL_CHARS),
            reference: None,
            hash: None,
        });
    }
    let name = folder.file_name()?.to_str()?;
    folder
        .ancestors()
        .skip(1)
        .take_while(|around| around.starts_with(root))
        .find_map(|around| locked(around, name, files))
}

fn locked(around: &Path, name: &str, files: &mut JsonFiles<'_>) -> Option<Origin> {
    let entry = |lock: Rc<Map<String, Value>>| lock.get("skills")?.get(name)?.as_object().cloned();
    if let Some(entry) = files.object(around.join("skills-lock.json")).and_then(entry) {
        return Some(Origin {
            source: source(&entry, &["sourceUrl", "source"])?,
            name: name.to_owned(),
            version: None,
            reference: label(&entry, "ref", MAX_LABEL_CHARS),
            hash: label(&entry, "wellKnownDigest", MAX_SOURCE_CHARS)
                .or_else(|| label(&entry, "computedHash", MAX_SOURCE_CHARS)),
        });
    }
    let entry = files.object(around.join(".clawhub/lock.json")).and_then(entry)?;
    Some(Origin {
        source: "ClawHub".to_owned(),
        name: name.to_owned(),
        version: label(&entry, "version", MAX_LABEL_CHARS),
        reference: None,
        hash: None,
    })
}

fn source(map: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    keys.iter()
        .find_map(|key| label(map, key, MAX_SOURCE_CHARS))
        .map(|source| without_credentials(&source))
}

/// An address without user name, password and query, which may hold a token.
#[must_use]
pub fn without_credentials(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or(host);
    let slash = if rest.contains('/') { "/" } else { "" };
    format!("{scheme}://{host}{slash}{path}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use folder_handle::FolderHandle;

    use super::*;

    fn of(files: &[(&str, &str)]) -> Option<Origin> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("skills/tide")).unwrap();
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let handle = FolderHandle::open(root.path()).unwrap();
        let root = handle.path();
        origin_of(root, &root.join("skills/tide"), &mut JsonFiles::below(&handle))
    }

    #[test]
    fn origins_of_installers_are_read() {
        let hub = of(&[(
            "skills/tide/.clawhub/origin.json",
            r#"{"registry":"https://clawhub.ai","slug":"tide","installedVersion":"1.2.0","fingerprint":"ab"}"#,
        )])
        .unwrap();
        assert_eq!(
            (hub.source.as_str(), hub.version.as_deref()),
            ("https://clawhub.ai", Some("1.2.0"))
        );
        let published = of(&[(
            "skills/tide/_meta.json",
            r#"{"ownerId":"x","slug":"tide","version":"3.2.0"}"#,
        )]);
        assert_eq!(published.unwrap().version.as_deref(), Some("3.2.0"));
        let lock = of(&[(
            "skills-lock.json",
            r#"{"version":1,"skills":{"tide":{"source":"a/b","sourceUrl":"https://me:pw@host/a/b.git?t=1","ref":"main","computedHash":"cd"}}}"#,
        )])
        .unwrap();
        assert_eq!(lock.source, "https://host/a/b.git");
        assert_eq!(
            (lock.reference.as_deref(), lock.hash.as_deref()),
            (Some("main"), Some("cd"))
        );
        let hub_lock = of(&[(
            "skills/.clawhub/lock.json",
            r#"{"skills":{"tide":{"version":"1.0.0"}}}"#,
        )]);
        assert_eq!(hub_lock.unwrap().version.as_deref(), Some("1.0.0"));
    }

    #[test]
    fn files_of_the_same_name_by_others_are_ignored() {
        assert_eq!(of(&[("skills/tide/_meta.json", r#"{"version":"1"}"#)]), None);
        assert_eq!(
            of(&[("skills-lock.json", r#"{"skills":{"other":{"source":"a"}}}"#)]),
            None
        );
        assert_eq!(
            of(&[("skills-lock.json", "{"), ("skills/tide/_meta.json", "[")]),
            None
        );
    }

    #[test]
    fn credentials_are_removed_from_addresses() {
        for (address, without) in [
            ("https://me:secret@host/a.git", "https://host/a.git"),
            ("https://token@host:8443/a?key=1#x", "https://host:8443/a"),
            ("https://a@b@host", "https://host"),
            ("ssh://git@host/a.git", "ssh://host/a.git"),
            ("git@host:a/b.git", "git@host:a/b.git"),
            ("a/b", "a/b"),
        ] {
            assert_eq!(without_credentials(address), without);
        }
    }
}
