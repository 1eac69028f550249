//! The skills that a key may install, as plugins of Claude Code: the marketplace that lists them, and their archives.
//!
//! A plugin has one skill, which lies below `skills/`. Claude Code looks elsewhere for files with hooks, commands and servers, so that
//! those in the skill's folder have no effect.

use std::time::Instant;

use agent_skills::{PathError, SkillFile, SkillPath, write_zip};
use serde_json::json;

use super::catalog::{self, CatalogSkill};
use super::download::{files, find};
use super::fetch::{Fetch, Fetched};
use super::index::COMPUTING;
use crate::db::DbError;
use crate::ids::{Digest, VersionId};
use crate::registry::skills::ResolvedVersion;
use crate::registry::usage::Subject;
use crate::registry::{archives, versions};
use crate::tools::{CallContext, ToolError, ToolName};

/// What Claude Code reads of a plugin first.
const MANIFEST: &str = ".claude-plugin/plugin.json";
/// The name of the marketplace of the default tenant; others append their slug.
const NAME: &str = "skillkeep";
const DEFAULT_TENANT: &str = "default";
/// Claude Code removes all but letters and digits from a name, and refuses it if it then contains one of these.
const REFUSED_IN_NAMES: [&str; 4] = [
    "officialclaude",
    "claudeofficial",
    "officialanthropic",
    "anthropicofficial",
];

/// The marketplace of a tenant.
#[derive(Debug, Clone, Copy)]
pub struct ClaudeCodeMarketplace;

/// A marketplace, or how far it is.
#[derive(Debug)]
pub enum PluginIndex {
    Complete(Marketplace),
    /// New plugins are still being made for their digests: the call is to be repeated.
    Computing {
        known: usize,
        all: usize,
    },
}

#[derive(Debug)]
pub struct Marketplace {
    /// The same for all keys of a tenant.
    pub name: String,
    /// The name of the tenant.
    pub owner: String,
    pub plugins: Vec<Plugin>,
}

/// A skill in its latest version.
#[derive(Debug)]
pub struct Plugin {
    pub slug: String,
    pub version: String,
    pub description: String,
    /// The digest of the bytes of the plugin's archive.
    pub digest: Digest,
}

impl Fetch for ClaudeCodeMarketplace {
    const NAME: &'static str = "claude-code/marketplace";
    const REQUIRED_PERMISSION: ToolName = ToolName::InstallSkill;
    const LOADS_SKILL: bool = true;
    type Output = PluginIndex;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<PluginIndex>, ToolError> {
        let mut skills = catalog::all(cx).await?;
        skills.retain(fits);
        let all = skills.len();
        let digests = digests(cx, &skills).await?;
        let plugins: Vec<Plugin> = skills.into_iter().zip(digests).filter_map(plugin).collect();
        let known = plugins.len();
        let output = if known == all {
            PluginIndex::Complete(Marketplace {
                name: marketplace_name(&cx.principal.tenant_slug),
                owner: cx.principal.tenant_name.clone(),
                plugins,
            })
        } else {
            PluginIndex::Computing { known, all }
        };
        Ok(Fetched {
            output,
            subject: Subject::default(),
            count: Some(known),
            bytes: 0,
        })
    }
}

fn plugin((skill, digest): (CatalogSkill, Option<Digest>)) -> Option<Plugin> {
    Some(Plugin {
        slug: skill.listed.resolved.slug,
        version: skill.listed.resolved.version,
        description: skill.listed.description,
        digest: digest?,
    })
}

/// Two registries, or two tenants of one, must not take each other's place on a machine.
fn marketplace_name(tenant_slug: &str) -> String {
    let letters: String = tenant_slug.chars().filter(char::is_ascii_alphanumeric).collect();
    let is_refused = REFUSED_IN_NAMES.iter().any(|refused| letters.contains(refused));
    if tenant_slug == DEFAULT_TENANT || is_refused {
        return NAME.to_owned();
    }
    format!("{NAME}-{tenant_slug}")
}

/// Whether the paths are short enough to stand in the folder of a plugin.
fn fits(skill: &CatalogSkill) -> bool {
    let slug = &skill.listed.resolved.slug;
    skill
        .files
        .iter()
        .all(|file| path_in_plugin(slug, &file.path).is_ok())
}

fn path_in_plugin(slug: &str, path: &str) -> Result<SkillPath, PathError> {
    SkillPath::parse(&format!("skills/{slug}/{path}"))
}

/// The digest of each plugin; `None` where it could not be computed in time.
async fn digests(cx: &CallContext<'_>, skills: &[CatalogSkill]) -> Result<Vec<Option<Digest>>, ToolError> {
    let ids: Vec<VersionId> = skills
        .iter()
        .map(|skill| skill.listed.resolved.version_id)
        .collect();
    let mut known = archives::plugin_digests(cx.tx, &ids).await?;
    let started = Instant::now();
    let mut digests = Vec::with_capacity(skills.len());
    for skill in skills {
        let version = &skill.listed.resolved;
        let digest = match known.remove(&(version.version_id, version.slug.clone())) {
            Some(digest) => Some(digest),
            None if started.elapsed() < COMPUTING => {
                let digest = Digest::of(&archive(cx, version).await?);
                archives::store_plugin_digest(cx.tx, version.version_id, &version.slug, digest).await?;
                Some(digest)
            }
            None => None,
        };
        digests.push(digest);
    }
    Ok(digests)
}

/// A version as the zip archive of a plugin. Equal versions of a skill with the same slug give equal bytes.
///
/// The description is left out: it is the skill's, and changes with later versions. The marketplace has it.
async fn archive(cx: &CallContext<'_>, version: &ResolvedVersion) -> Result<Vec<u8>, ToolError> {
    let stored = files(versions::contents(cx.tx, version.version_id).await?)?;
    let manifest = json!({"name": version.slug, "version": version.version});
    let mut contents = vec![SkillFile {
        path: SkillPath::parse(MANIFEST).map_err(|error| DbError::Corrupt(error.to_string()))?,
        bytes: manifest.to_string().into_bytes(),
        is_executable: false,
    }];
    for file in stored {
        let path = path_in_plugin(&version.slug, file.path.as_str()).map_err(|_| {
            let message = "A path in this version is too long for a plugin of Claude Code. Download it as a zip archive instead.";
            ToolError::InvalidArguments(message.to_owned())
        })?;
        contents.push(SkillFile { path, ..file });
    }
    Ok(write_zip(&contents).map_err(|error| DbError::Corrupt(error.to_string()))?)
}

/// A plugin: the skill's slug, and one of its versions.
#[derive(Debug, Clone)]
pub struct ClaudeCodePlugin {
    pub skill: String,
    pub version: String,
    /// The digests of archives that the caller has: the bytes of these are left out.
    pub known: Vec<Digest>,
}

/// The archive of a plugin.
#[derive(Debug)]
pub struct PluginArchive {
    /// The digest of the archive's bytes.
    pub digest: Digest,
    /// `None` if the caller has them.
    pub bytes: Option<Vec<u8>>,
}

impl Fetch for ClaudeCodePlugin {
    const NAME: &'static str = "claude-code/plugin";
    const REQUIRED_PERMISSION: ToolName = ToolName::InstallSkill;
    const LOADS_SKILL: bool = true;
    type Output = PluginArchive;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        vec![("skill", &self.skill), ("version", &self.version)]
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<PluginArchive>, ToolError> {
        let found = find(cx, &self.skill, Some(&self.version)).await?;
        let bytes = archive(cx, &found).await?;
        let digest = Digest::of(&bytes);
        let bytes = (!self.known.contains(&digest)).then_some(bytes);
        Ok(Fetched {
            subject: found.subject(),
            count: None,
            bytes: bytes.as_ref().map_or(0, Vec::len),
            output: PluginArchive { digest, bytes },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marketplace_has_a_name_that_claude_code_accepts() {
        assert_eq!(marketplace_name("default"), "skillkeep");
        assert_eq!(marketplace_name("acme"), "skillkeep-acme");
        assert_eq!(marketplace_name("claude-users"), "skillkeep-claude-users");
        for refused in ["official-claude", "my-claude-official-team", "anthropic-official"] {
            assert_eq!(marketplace_name(refused), "skillkeep", "{refused}");
        }
    }

    #[test]
    fn long_paths_do_not_fit_into_a_plugin() {
        assert!(path_in_plugin("fill-pdf", "SKILL.md").is_ok());
        let longest = vec!["a"; 32].join("/");
        assert!(SkillPath::parse(&longest).is_ok());
        assert!(path_in_plugin("fill-pdf", &longest).is_err());
    }
}
