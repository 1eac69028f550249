//! Reads the lock file of the npm package `skills`, to take its skills over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::toml_text::check_text;

/// Name of the lock file of the npm package `skills` in a project.
pub const NPM_LOCK_FILE: &str = "skills-lock.json";
const VERSION: u64 = 1;

/// A skill that the npm package `skills` installed. It names no version, so the newest one is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NpmSkill {
    /// The name of its folder; not checked.
    pub name: String,
    /// Where it came from, such as `owner/repository`; not checked.
    pub source: String,
    /// Such as `github`.
    pub source_type: String,
    pub source_url: Option<String>,
    /// A branch, tag or commit.
    pub reference: Option<String>,
    /// The path of the skill in the source.
    pub skill_path: Option<String>,
}

#[derive(Deserialize)]
struct RawFile {
    version: u64,
    #[serde(default)]
    skills: BTreeMap<String, RawSkill>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSkill {
    source: String,
    #[serde(default)]
    source_type: String,
    source_url: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    skill_path: Option<String>,
}

/// Reads the skills of a `skills-lock.json` of version 1, sorted by name.
///
/// # Errors
/// [`Error::BadFile`] with the line.
pub fn read_npm_lock(text: &str) -> Result<Vec<NpmSkill>, Error> {
    check_text(NPM_LOCK_FILE, text)?;
    let error = |line, reason| Error::BadFile {
        file: NPM_LOCK_FILE.to_owned(),
        line,
        reason,
    };
    let file: RawFile =
        serde_json::from_str(text).map_err(|found| error(found.line().max(1), found.to_string()))?;
    if file.version != VERSION {
        let reason = format!(
            "it has version {} of its format, and only version {VERSION} is known",
            file.version
        );
        return Err(error(1, reason));
    }
    let skills = file.skills.into_iter().map(|(name, skill)| NpmSkill {
        name,
        source: skill.source,
        source_type: skill.source_type,
        source_url: skill.source_url,
        reference: skill.reference,
        skill_path: skill.skill_path,
    });
    Ok(skills.collect())
}
