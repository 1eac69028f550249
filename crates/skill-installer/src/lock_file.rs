//! The lock file of a project: the exact versions that were installed.

use std::fmt::Write as _;

use agent_skills::{Digest, SkillVersion, Slug};
use serde::Serialize;
use toml_edit::TableLike;

use crate::error::Error;
use crate::folder_name::FolderName;
use crate::release::check_registry;
use crate::toml_text::Source;

/// Name of the lock file of a project.
pub const LOCK_FILE: &str = "skillkeep.lock";
const VERSION: i64 = 1;
const HEADER: &str = "# Written by skillkeep. Commit this file; do not edit it.\n";

/// The lock file: one block a skill, one value a line, sorted by name, so that changes merge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LockFile {
    skills: Vec<LockedSkill>,
}

/// A version that was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockedSkill {
    /// The skill's slug in the registry.
    pub name: Slug,
    pub registry: String,
    pub version: SkillVersion,
    pub digest: Digest,
    /// The id of the key that signed the version.
    pub signer: Option<String>,
    /// The name of the skill's folder, if it is not the slug.
    pub folder: Option<FolderName>,
}

impl LockFile {
    /// Reads the text of a lock file. An empty text is an empty lock file.
    ///
    /// # Errors
    /// [`Error::BadFile`] with the line, also for unknown keys and for conflict markers.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let (source, document) = Source::parse(LOCK_FILE, text)?;
        let table = document.as_table();
        let version = table.get("version");
        if version.and_then(toml_edit::Item::as_integer) != Some(VERSION) {
            let span = version.and_then(toml_edit::Item::span);
            return Err(source.error(
                span,
                format!("the version of the format must be {VERSION}: this file needs a newer skillkeep"),
            ));
        }
        source.check_keys(table, &["version", "skill"])?;
        let mut lock_file = Self::default();
        if let Some(item) = table.get("skill") {
            let blocks = item
                .as_array_of_tables()
                .ok_or_else(|| source.error(item.span(), "write each skill as [[skill]]"))?;
            for block in blocks {
                let skill = read(&source, block)?;
                if lock_file.get(&skill.name).is_some() {
                    return Err(source.error(block.span(), format!("{} is there twice", skill.name)));
                }
                lock_file.set(skill);
            }
        }
        Ok(lock_file)
    }

    /// The skills, sorted by name.
    #[must_use]
    pub fn skills(&self) -> &[LockedSkill] {
        &self.skills
    }

    #[must_use]
    pub fn get(&self, name: &Slug) -> Option<&LockedSkill> {
        self.skills.iter().find(|skill| skill.name == *name)
    }

    /// Adds a skill, or replaces the one of the same name.
    pub fn set(&mut self, skill: LockedSkill) {
        self.remove(&skill.name);
        self.skills.push(skill);
        self.skills.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Removes a skill. Returns whether it was there.
    pub fn remove(&mut self, name: &Slug) -> bool {
        let count = self.skills.len();
        self.skills.retain(|skill| skill.name != *name);
        self.skills.len() < count
    }

    /// The text of the file. Depends on the skills only.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}version = {VERSION}\n");
        for skill in &self.skills {
            text.push_str("\n[[skill]]\n");
            let mut line = |key: &str, value: &str| {
                // Writing into a text does not fail.
                let _ = writeln!(text, "{key} = {}", toml_edit::Value::from(value));
            };
            line("name", skill.name.as_str());
            line("registry", &skill.registry);
            line("version", skill.version.as_str());
            line("digest", &skill.digest.to_string());
            if let Some(signer) = &skill.signer {
                line("signer", signer);
            }
            if let Some(folder) = &skill.folder {
                line("folder", folder.as_str());
            }
        }
        text
    }
}

fn read(source: &Source<'_>, block: &toml_edit::Table) -> Result<LockedSkill, Error> {
    source.check_keys(
        block,
        &["name", "registry", "version", "digest", "signer", "folder"],
    )?;
    let missing = |key: &str| source.error(block.span(), format!("{key:?} is missing in this block"));
    let block_like: &dyn TableLike = block;
    Ok(LockedSkill {
        name: source
            .value(block_like, "name", str::parse::<Slug>)?
            .ok_or_else(|| missing("name"))?,
        registry: source
            .value(block_like, "registry", |text| {
                check_registry(text).map(|()| text.to_owned())
            })?
            .ok_or_else(|| missing("registry"))?,
        version: source
            .value(block_like, "version", str::parse::<SkillVersion>)?
            .ok_or_else(|| missing("version"))?,
        digest: source
            .value(block_like, "digest", str::parse::<Digest>)?
            .ok_or_else(|| missing("digest"))?,
        signer: source.value(block_like, "signer", |text| {
            check_registry(text).map(|()| text.to_owned())
        })?,
        folder: source.value(block_like, "folder", str::parse::<FolderName>)?,
    })
}
