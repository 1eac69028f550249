//! Claude plugins: what `.claude-plugin/plugin.json` and `.claude-plugin/marketplace.json` say about a skill.
//!
//! Format: Claude Code documentation, "Plugins reference" and "Plugin marketplaces".

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use crate::json_file::JsonFiles;
use crate::limits::{MAX_LABEL_CHARS, MAX_TAGS};
use crate::metadata::{label, split_tags};
use crate::slug::Slug;
use crate::text::one_line;

/// The plugin that a skill belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginInfo {
    pub name: Slug,
    /// One line, at most [`MAX_LABEL_CHARS`] characters.
    pub version: Option<String>,
    /// From `keywords` and `tags`: lowercase, without duplicates, at most [`MAX_TAGS`].
    pub keywords: Vec<String>,
    pub category: Option<String>,
}

/// Finds the plugin of the skill in `folder`: the innermost one around it, up to `root`.
pub(crate) fn plugin_of(root: &Path, folder: &Path, files: &mut JsonFiles<'_>) -> Option<PluginInfo> {
    let mut manifest = None;
    let mut entry = None;
    for around in folder.ancestors().take_while(|around| around.starts_with(root)) {
        if manifest.is_none() && entry.is_none() {
            manifest = files.object(around.join(".claude-plugin/plugin.json"));
        }
        if let Some(marketplace) = files.object(around.join(".claude-plugin/marketplace.json")) {
            entry = entry_for(&marketplace, around, folder);
            break;
        }
    }
    info(manifest.as_deref(), entry.as_ref())
}

/// The plugin's own manifest has priority over its entry in a marketplace.
fn info(manifest: Option<&Map<String, Value>>, entry: Option<&Map<String, Value>>) -> Option<PluginInfo> {
    let both = || [manifest, entry].into_iter().flatten();
    let first = |key: &str| both().find_map(|map| label(map, key, MAX_LABEL_CHARS));
    let mut keywords: Vec<String> = Vec::new();
    for value in both()
        .flat_map(|map| ["keywords", "tags"].map(|key| map.get(key)))
        .flatten()
    {
        for keyword in split_tags(value) {
            let keyword = one_line(&keyword, MAX_LABEL_CHARS).to_lowercase();
            if !keyword.is_empty() && !keywords.contains(&keyword) && keywords.len() < MAX_TAGS {
                keywords.push(keyword);
            }
        }
    }
    Some(PluginInfo {
        name: Slug::derive(&first("name")?)?,
        version: first("version"),
        keywords,
        category: first("category"),
    })
}

/// The entry of a marketplace whose folder contains the skill: one that lists the skill, else the one with the longest path.
fn entry_for(marketplace: &Map<String, Value>, root: &Path, folder: &Path) -> Option<Map<String, Value>> {
    let plugin_root = marketplace
        .get("metadata")
        .and_then(|metadata| metadata.get("pluginRoot"))
        .and_then(Value::as_str)
        .unwrap_or("");
    let entries = marketplace.get("plugins")?.as_array()?;
    let matching = entries.iter().filter_map(Value::as_object).filter_map(|entry| {
        let source = entry.get("source").and_then(Value::as_str)?;
        let own = below(&below(root, plugin_root)?, source)
            .filter(|own| folder.starts_with(own))
            .or_else(|| {
                // `pluginRoot` is prepended to bare names only.
                below(root, source).filter(|own| folder.starts_with(own))
            })?;
        let listed = match entry.get("skills") {
            Some(Value::String(path)) => Some(vec![path.as_str()]),
            Some(Value::Array(paths)) => Some(paths.iter().filter_map(Value::as_str).collect()),
            Some(_) | None => None,
        };
        let is_listed = listed.as_ref().is_some_and(|paths| {
            paths
                .iter()
                .filter_map(|path| below(&own, path))
                .any(|path| folder.starts_with(path))
        });
        (is_listed || listed.is_none()).then(|| ((is_listed, own.components().count()), entry))
    });
    matching
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, entry)| entry.clone())
}

/// `path` below `root`. `None` if it leads out.
fn below(root: &Path, path: &str) -> Option<PathBuf> {
    let mut joined = root.to_path_buf();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => joined.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use folder_handle::FolderHandle;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn of(root: &Path, folder: &str) -> Option<PluginInfo> {
        let handle = FolderHandle::open(root).unwrap();
        let root = handle.path();
        let mut files = JsonFiles::below(&handle);
        let plugin = plugin_of(root, &root.join(folder), &mut files);
        assert!(files.problems.is_empty(), "{:?}", files.problems);
        plugin
    }

    fn described(plugin: Option<PluginInfo>) -> String {
        plugin.map_or_else(String::new, |plugin| {
            format!(
                "{} {} {}",
                plugin.name,
                plugin.version.unwrap_or_default(),
                plugin.keywords.join(",")
            )
        })
    }

    #[test]
    fn manifest_gives_name_version_and_keywords() {
        let root = tree(&[(
            "plugins/rigging/.claude-plugin/plugin.json",
            r#"{"name":"rigging","version":"2.3.0","keywords":["sail"]}"#,
        )]);
        assert_eq!(
            described(of(root.path(), "plugins/rigging/skills/review")),
            "rigging 2.3.0 sail"
        );
        assert_eq!(of(root.path(), "plugins/paint/skills/review"), None);
    }

    #[test]
    fn marketplace_entry_fills_what_the_manifest_lacks() {
        let root = tree(&[
            (
                ".claude-plugin/marketplace.json",
                r#"{"name":"m","plugins":[
                    {"name":"all","source":"./","version":"9"},
                    {"name":"rigging","source":"./plugins/rigging","version":"1.0.0","tags":["Rope","sail"],"category":"ship"},
                    {"name":"elsewhere","source":{"source":"github","repo":"a/b"}},
                    {"name":"out","source":"../../etc"}]}"#,
            ),
            (
                "plugins/rigging/.claude-plugin/plugin.json",
                r#"{"name":"rigging","keywords":["sail"]}"#,
            ),
        ]);
        let plugin = of(root.path(), "plugins/rigging/skills/review");
        assert_eq!(
            plugin.as_ref().and_then(|plugin| plugin.category.as_deref()),
            Some("ship")
        );
        assert_eq!(described(plugin), "rigging 1.0.0 sail,rope");
        assert_eq!(described(of(root.path(), "other/skill")), "all 9 ");
    }

    #[test]
    fn entry_that_lists_its_skills_has_only_these() {
        let root = tree(&[(
            ".claude-plugin/marketplace.json",
            r#"{"plugins":[{"name":"office","source":"./","skills":["./skills/pdf","./skills/docx"]},
                {"name":"art","source":"./","skills":"./art"}]}"#,
        )]);
        assert_eq!(described(of(root.path(), "skills/pdf")), "office  ");
        assert_eq!(described(of(root.path(), "art/paint")), "art  ");
        assert_eq!(of(root.path(), "skills/review"), None);
    }

    #[test]
    fn plugin_root_is_prepended_to_sources() {
        let root = tree(&[(
            ".claude-plugin/marketplace.json",
            r#"{"metadata":{"pluginRoot":"./plugins"},"plugins":[{"name":"a","source":"one"},{"name":"b","source":"./plugins/two"}]}"#,
        )]);
        assert_eq!(described(of(root.path(), "plugins/one/skills/x")), "a  ");
        assert_eq!(described(of(root.path(), "plugins/two/skills/x")), "b  ");
    }

    #[test]
    fn unreadable_manifest_is_a_problem_and_no_error() {
        for text in ["{not json", "[]", "\"text\""] {
            let root = tree(&[("p/.claude-plugin/plugin.json", text)]);
            let handle = FolderHandle::open(root.path()).unwrap();
            let mut files = JsonFiles::below(&handle);
            let folder = handle.path().join("p/skills/a");
            assert_eq!(plugin_of(handle.path(), &folder, &mut files), None);
            assert_eq!(files.problems.len(), 1, "{text}");
        }
        let root = tree(&[(
            "p/.claude-plugin/plugin.json",
            r#"{"name":5,"version":["x"],"keywords":{"a":1}}"#,
        )]);
        assert_eq!(described(of(root.path(), "p/skills/a")), "5  ");
    }
}
