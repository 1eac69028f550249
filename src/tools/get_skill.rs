//! `get_skill`: everything on one skill, and a file's text on request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CallContext, Done, SideEffect, Tool, ToolError, limits};
use crate::registry::skills::{self, Details};
use crate::registry::usage::Subject;
use crate::registry::versions::{self, FileContents};
use crate::tenancy::Scope;

/// The most versions that are shown.
const SHOWN_VERSIONS: i64 = 100;

/// Which skill, and which of its files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetSkill {
    /// The skill's slug, as search_skills shows it.
    #[schemars(length(min = 1, max = 64))]
    skill: String,
    /// The version; the latest when left out.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    version: Option<String>,
    /// The path of a file whose text shall be included, for example `SKILL.md`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    file: Option<String>,
}

/// A file of the version.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileLine {
    /// The path inside the skill.
    path: String,
    /// `sha256:` and the SHA-256 of its bytes.
    digest: String,
    /// The size in bytes.
    size: i64,
    /// Whether it may be run.
    executable: bool,
}

/// A version of the skill.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VersionLine {
    /// Its label.
    version: String,
    /// Its digest.
    digest: String,
    /// Files in it.
    files: i32,
    /// Bytes in it.
    bytes: i64,
    /// Whether it was withdrawn.
    yanked: bool,
    /// When it was published, RFC 3339.
    published_at: String,
}

/// The text of the file that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileText {
    /// Its path.
    path: String,
    /// Its digest.
    digest: String,
    /// Its text.
    text: String,
}

/// A rule of the format that the skill does not keep to. Stored as JSON when it was published; this is its shape.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it describes what the database holds already as JSON")]
struct Deviation {
    /// A stable word.
    code: String,
    /// What was found and what was done about it.
    message: String,
}

/// Everything on one skill.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GetSkillOutput {
    /// The skill's slug: what the other tools call it.
    skill: String,
    /// What it calls itself.
    name: String,
    /// What it is for.
    description: String,
    /// The version that is shown.
    version: String,
    /// The version's digest.
    digest: String,
    /// Its category.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    /// Its tags.
    tags: Vec<String>,
    /// Its author.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    /// Its licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<String>,
    /// The front matter of its SKILL.md.
    #[schemars(with = "serde_json::Map<String, Value>")]
    front_matter: Value,
    /// Whether it keeps to every rule of the Agent Skills format.
    conformant: bool,
    /// Where it does not, and what was done about it.
    #[schemars(with = "Vec<Deviation>")]
    notes: Value,
    /// Whether this version was withdrawn, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    yanked: Option<String>,
    /// The verdict of the last review of this version: `approved` or `changes_requested`.
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<String>,
    /// How many rated it.
    ratings: i64,
    /// Their mean, 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    stars: Option<f64>,
    /// Confirmed installs.
    installs: i64,
    /// Reports that it helped.
    helped: i64,
    /// Reports that it failed.
    failed: i64,
    /// Reports that it is out of date.
    stale: i64,
    /// When it was first published, RFC 3339.
    created_at: String,
    /// When this version was published, RFC 3339.
    published_at: String,
    /// Files in this version.
    file_count: i32,
    /// Bytes in this version.
    total_bytes: i64,
    /// The files of this version.
    files: Vec<FileLine>,
    /// The newest hundred versions, newest first.
    versions: Vec<VersionLine>,
    /// The file that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileText>,
}

impl Tool for GetSkill {
    const NAME: &'static str = "get_skill";
    const TITLE: &'static str = "Get a skill";
    const DESCRIPTION: &'static str = "Shows one skill: what it is for, its files with digests, its versions, ratings and how it did for others. \
         With `file` it includes that file's text, for example SKILL.md, to read a skill without installing it.";
    const SCOPE: Option<Scope> = Some(Scope::SkillsRead);
    const EFFECT: SideEffect = SideEffect::Reads;
    type Output = GetSkillOutput;

    fn check(&self) -> Result<(), String> {
        limits::skill_and_version(&self.skill, self.version.as_deref())?;
        limits::optional_text("file", self.file.as_deref(), &(1..=1024))
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<GetSkillOutput>, ToolError> {
        let (slug, version) = (self.skill.as_str(), self.version.as_deref());
        let wanted_file = async {
            match &self.file {
                Some(path) => versions::file(cx.tx, slug, version, path).await,
                None => Ok(None),
            }
        };
        // All by name, so that they share one flight.
        let (details, files, history, file) = futures::try_join!(
            skills::details(cx.tx, slug, version),
            versions::files(cx.tx, slug, version),
            versions::list(cx.tx, slug, SHOWN_VERSIONS),
            wanted_file,
        )?;
        let details = details
            .filter(|details| cx.principal.can_view_skill(&details.found.slug))
            .ok_or_else(|| ToolError::no_such_skill(slug, version))?;
        let file = match (&self.file, file) {
            (Some(path), None) => {
                return Err(ToolError::refused(
                    "no_such_file",
                    format!(
                        "The skill \"{slug}\" has no file \"{path}\". Without `file`, get_skill lists its files."
                    ),
                ));
            }
            (_, file) => file.map(file_text).transpose()?,
        };
        let subject = Subject {
            skill: Some(details.found.skill),
            version: Some(details.found.version_id),
            digest: Some(details.found.digest),
        };
        Ok(Done::new(output(details, files, history, file)).about(subject))
    }
}

fn file_text(file: FileContents) -> Result<FileText, ToolError> {
    let FileContents { entry, bytes } = file;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(FileText {
            path: entry.path,
            digest: entry.digest.to_string(),
            text,
        }),
        Err(_) => Err(ToolError::refused(
            "not_text",
            format!("\"{}\" is not text. install_skill gives its bytes.", entry.path),
        )),
    }
}

fn output(
    details: Details,
    files: Vec<versions::FileEntry>,
    history: Vec<versions::VersionLine>,
    file: Option<FileText>,
) -> GetSkillOutput {
    GetSkillOutput {
        skill: details.found.slug,
        name: details.name,
        description: details.description,
        version: details.found.version,
        digest: details.found.digest.to_string(),
        category: details.category,
        tags: details.tags,
        author: details.author,
        license: details.license,
        front_matter: details.front_matter,
        conformant: details.conformant,
        notes: details.notes,
        yanked: details.found.yanked,
        review: details.review,
        ratings: details.ratings,
        stars: details.stars,
        installs: details.installs,
        helped: details.helped,
        failed: details.failed,
        stale: details.stale,
        created_at: details.created_at.to_string(),
        published_at: details.version_created_at.to_string(),
        file_count: details.file_count,
        total_bytes: details.total_bytes,
        files: files
            .into_iter()
            .map(|entry| FileLine {
                path: entry.path,
                digest: entry.digest.to_string(),
                size: entry.size,
                executable: entry.executable,
            })
            .collect(),
        versions: history
            .into_iter()
            .map(|line| VersionLine {
                version: line.version,
                digest: line.digest.to_string(),
                files: line.file_count,
                bytes: line.total_bytes,
                yanked: line.yanked,
                published_at: line.created_at.to_string(),
            })
            .collect(),
        file,
    }
}
