//! `get_skill`: the details of one skill, and the text of one of its files.

use agent_skills::Slug;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ToolError;
use super::arguments::MAX_VERSION_CHARS;
use super::error::Refusal;
use super::labels::SkillLabels;
use super::tool::{CallContext, Done, Tool};
use crate::registry::skills::{self, SkillDetails};
use crate::registry::versions::{self, FileContents, VersionSummary};

const MAX_VERSIONS: i64 = 100;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetSkill {
    /// Slug from search_skills, e.g. `fill-pdf`.
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    /// E.g. `1.2`; the latest if omitted.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// Path of a file whose text to include, e.g. `SKILL.md`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    file: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileLine {
    path: String,
    /// `sha256:` and the SHA-256 of the bytes.
    digest: String,
    /// Bytes.
    size: i64,
    executable: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VersionLine {
    version: String,
    digest: String,
    /// Number of files.
    files: i32,
    bytes: i64,
    /// Whether it was withdrawn.
    yanked: bool,
    /// RFC 3339.
    published_at: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileText {
    path: String,
    digest: String,
    text: String,
}

// The database stores these as JSON when the skill is published; this is only their schema.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes JSON that comes from the database")]
struct Deviation {
    /// Stable identifier.
    code: String,
    /// What was found and how it was handled.
    message: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GetSkillOutput {
    /// Slug.
    skill: String,
    #[serde(flatten)]
    labels: SkillLabels,
    version: String,
    /// Digest of the version's manifest.
    digest: String,
    /// Front matter of SKILL.md.
    #[schemars(with = "serde_json::Map<String, Value>")]
    front_matter: Value,
    /// Whether it follows the Agent Skills format.
    conformant: bool,
    /// Deviations from the format.
    #[schemars(with = "Vec<Deviation>")]
    notes: Value,
    /// Present if this version was withdrawn: the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    yanked: Option<String>,
    /// Last review of this version: `approved` or `changes_requested`.
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<String>,
    /// Number of ratings.
    ratings: i64,
    /// Mean rating, 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    stars: Option<f64>,
    /// Confirmed installs.
    installs: i64,
    /// Number of reports that it helped.
    helped: i64,
    /// Number of reports that it failed.
    failed: i64,
    /// Number of reports that it is out of date.
    stale: i64,
    /// First publication, RFC 3339.
    created_at: String,
    /// Publication of this version, RFC 3339.
    published_at: String,
    file_count: i32,
    total_bytes: i64,
    files: Vec<FileLine>,
    /// The newest 100 versions, newest first.
    versions: Vec<VersionLine>,
    /// The requested file.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileText>,
}

impl Tool for GetSkill {
    const TITLE: &'static str = "Get a skill";
    const DESCRIPTION: &'static str = "Show one skill: description, files with digests, versions, ratings, and reports of other users. Set `file`, e.g. to \
         `SKILL.md`, to read a file without installing the skill.";
    type Output = GetSkillOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<GetSkillOutput>, ToolError> {
        let (slug, version) = (self.skill.as_str(), self.version.as_deref());
        let viewer = cx.caller().viewer();
        let requested_file = async {
            match &self.file {
                Some(path) => versions::file(cx.tx, slug, version, path, viewer).await,
                None => Ok(None),
            }
        };
        // Each query finds the skill by its slug, so that all of them share one round trip.
        let (details, files, history, file) = futures::try_join!(
            skills::details(cx.tx, slug, version, viewer),
            versions::files(cx.tx, slug, version, viewer),
            versions::list(cx.tx, slug, MAX_VERSIONS, viewer),
            requested_file,
        )?;
        let details = details
            .filter(|details| cx.principal.can_view_skill(&details.resolved.slug))
            .ok_or_else(|| Refusal::unknown_skill(slug, version))?;
        let file = match (&self.file, file) {
            (Some(path), None) => {
                return Err(Refusal::UnknownFile {
                    slug: slug.to_owned(),
                    path: path.clone(),
                }
                .into());
            }
            (_, file) => file.map(file_text).transpose()?,
        };
        let subject = details.resolved.subject();
        Ok(Done::new(output(details, files, history, file)).with_subject(subject))
    }
}

fn file_text(file: FileContents) -> Result<FileText, Refusal> {
    let FileContents { entry, bytes } = file;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(FileText {
            path: entry.path,
            digest: entry.digest.to_string(),
            text,
        }),
        Err(_) => Err(Refusal::NotText { path: entry.path }),
    }
}

fn output(
    details: SkillDetails,
    files: Vec<versions::FileEntry>,
    history: Vec<VersionSummary>,
    file: Option<FileText>,
) -> GetSkillOutput {
    GetSkillOutput {
        skill: details.resolved.slug,
        version: details.resolved.version,
        digest: details.resolved.digest.to_string(),
        front_matter: details.front_matter,
        conformant: details.metadata.conformant,
        labels: details.metadata.into(),
        notes: details.notes,
        yanked: details.resolved.yanked,
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
            .map(|version| VersionLine {
                yanked: version.is_yanked(),
                version: version.version,
                digest: version.digest.to_string(),
                files: version.file_count,
                bytes: version.total_bytes,
                published_at: version.created_at.to_string(),
            })
            .collect(),
        file,
    }
}
