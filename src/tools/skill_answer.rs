//! The answer of `get_skill`: details of a skill, or a page of a file.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use skill_signature::Signature;

use super::labels::{day, excerpt, rounded, time};
use super::schema::top_fields_only;
use super::signature::SignatureOutput;
use super::skill_life::{Life, state_of, unless_published};
use super::text_page::TextPage;
use crate::answer_size::{cut, json_chars, keep_first};
use crate::registry::ratings::RatingComment;
use crate::registry::skill_uri::SkillUri;
use crate::registry::skills::{ResolvedVersion, SkillDetails};
use crate::registry::versions::{FileEntry, VersionSummary};

/// The number of versions that are listed.
pub(super) const MAX_VERSIONS: usize = 20;
/// The number of files that one answer lists.
const MAX_FILES: usize = 60;
/// The characters of a rating's comment that are shown.
const MAX_COMMENT_CHARS: usize = 200;
/// Characters of JSON for the parts of an answer that the author of the skill decides about.
const MAX_FILE_CHARS: usize = 25_000;
const MAX_FRONT_MATTER_CHARS: usize = 12_000;
const MAX_NOTE_CHARS: usize = 6_000;
const MAX_MISSING_CHARS: usize = 5_000;
/// The same of the note of each version.
const MAX_CHANGE_NOTE_CHARS: usize = 400;
/// Fields of the front matter that the answer has already.
const SAID_ELSEWHERE: [&str; 3] = ["name", "description", "license"];

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileLine {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Bytes.
    size: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    executable: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VersionLine {
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    // When it was published, or stored if it was not.
    date: String,
    // Its author, if that is not the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    // What its author changed.
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FilePage {
    path: String,
    text: String,
    /// Of the whole file, if this is a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_chars: Option<usize>,
    /// Pass it as `offset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
}

impl FilePage {
    pub(super) fn new(path: String, page: TextPage) -> Self {
        let is_part = page.text.chars().count() < page.total_chars;
        Self {
            path,
            text: page.text,
            total_chars: is_part.then_some(page.total_chars),
            next_offset: page.next_offset,
        }
    }
}

/// A comment of a user on the skill: untrusted text.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Comment {
    stars: i16,
    text: String,
    on: String,
    /// Its author neither installed the skill nor reported on it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    never_used: bool,
}

impl Comment {
    fn new(rating: RatingComment) -> Self {
        Self {
            stars: rating.stars,
            text: excerpt(&rating.comment, MAX_COMMENT_CHARS, ""),
            on: day(rating.updated_at),
            never_used: !rating.is_of_user,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Details {
    // In SKILL.md.
    name: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    /// As SKILL.md says.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<String>,
    /// Of SKILL.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    // Of the version.
    digest: String,
    // Of skill, version and digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureOutput>,
    // The fields that are not said elsewhere.
    #[serde(skip_serializing_if = "Map::is_empty")]
    front_matter: Map<String, Value>,
    /// Deviations from the format.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(flatten)]
    life: Life,
    ratings: i64,
    /// Mean, 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    stars: Option<f64>,
    // The newest that say something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comments: Vec<Comment>,
    /// Confirmed.
    installs: i64,
    // Reports.
    helped: i64,
    failed: i64,
    stale: i64,
    // Of this version: published, or stored if it was not.
    stored_at: String,
    file_count: i32,
    total_bytes: i64,
    files: Vec<FileLine>,
    /// Pass it as `offset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
    /// Named in SKILL.md, but not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_files: Vec<String>,
    // Newest first.
    versions: Vec<VersionLine>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    has_older_versions: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = top_fields_only)]
pub(super) struct GetSkillOutput {
    // Slug.
    skill: String,
    version: String,
    /// Absent: published.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// Why it was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    yanked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FilePage>,
    #[serde(flatten)]
    details: Option<Details>,
    next_step: String,
}

/// A version's files as the answer lists them.
pub(super) struct FileList {
    pub(super) files: Vec<FileEntry>,
    /// The number of files to skip; less than there are.
    pub(super) offset: usize,
    pub(super) has_digests: bool,
    pub(super) missing: Vec<String>,
}

/// The files that `SKILL.md` names and the version lacks.
pub(super) fn missing_files(slug: &str, skill_md: &[u8], files: &[FileEntry]) -> Vec<String> {
    let Ok(document) = agent_skills::read_document(skill_md, slug) else {
        return Vec::new();
    };
    agent_skills::missing_files(&document, files.iter().map(|file| file.path.as_str()))
}

/// The answer with a page of a file.
pub(super) fn file(found: ResolvedVersion, page: FilePage) -> GetSkillOutput {
    let next_step = match (page.next_offset, found.yanked.is_some()) {
        (_, true) => "This version was withdrawn: read the latest instead.".to_owned(),
        (Some(offset), false) => format!("Read on with offset {offset}."),
        (None, false) => "If you follow it, report with record_usage afterwards.".to_owned(),
    };
    GetSkillOutput {
        skill: found.slug,
        version: found.version,
        state: unless_published(found.state.as_str()),
        yanked: found.yanked,
        file: Some(page),
        details: None,
        next_step,
    }
}

/// The answer with a skill's details.
pub(super) fn details(
    skill: SkillDetails,
    mut list: FileList,
    mut history: Vec<VersionSummary>,
    life: Life,
    comments: Vec<RatingComment>,
    signature: Option<Signature>,
) -> GetSkillOutput {
    let has_older_versions = history.len() > MAX_VERSIONS;
    history.truncate(MAX_VERSIONS);
    let state = life.state(&skill.resolved.version, skill.resolved.state, &history);
    let next_step = life.next_step(state, list.missing.is_empty());
    let line = |version| version_line(version, life.owner());
    let versions = history.into_iter().map(line).collect();
    let mut missing_files = std::mem::take(&mut list.missing);
    let (front_matter, left_out) = other_fields(skill.front_matter.clone());
    let mut notes = messages(&skill.notes);
    keep_first(&mut notes, MAX_NOTE_CHARS);
    notes.extend(left_out);
    match keep_first(&mut missing_files, MAX_MISSING_CHARS) {
        0 => {}
        more => notes.push(format!("{more} more files that SKILL.md names are missing")),
    }
    let uri = SkillUri::folder(&skill.resolved.slug, &skill.resolved.version, &skill.front_matter);
    let (first, count) = (list.offset, list.files.len());
    let files = file_lines(list);
    let end = first + files.len();
    let next_offset = (end < count).then_some(end);
    GetSkillOutput {
        skill: skill.resolved.slug,
        version: skill.resolved.version,
        state: unless_published(state),
        yanked: skill.resolved.yanked,
        file: None,
        next_step,
        details: Some(Details {
            name: skill.metadata.name,
            description: skill.metadata.description,
            category: skill.metadata.category,
            tags: skill.metadata.tags,
            author: skill.metadata.author,
            license: skill.metadata.license,
            uri: uri.map(|folder| folder.skill_md().to_string()),
            digest: skill.resolved.digest.to_string(),
            signature: signature.map(SignatureOutput::from),
            front_matter,
            notes,
            life,
            ratings: skill.ratings,
            stars: skill.stars.map(rounded),
            comments: comments.into_iter().map(Comment::new).collect(),
            installs: skill.installs,
            helped: skill.helped,
            failed: skill.failed,
            stale: skill.stale,
            stored_at: time(skill.version_created_at),
            file_count: skill.file_count,
            total_bytes: skill.total_bytes,
            files,
            next_offset,
            missing_files,
            versions,
            has_older_versions,
        }),
    }
}

fn file_lines(list: FileList) -> Vec<FileLine> {
    let has_digests = list.has_digests;
    let files = list.files.into_iter().skip(list.offset).take(MAX_FILES);
    let line = |entry: FileEntry| FileLine {
        path: entry.path,
        digest: has_digests.then(|| entry.digest.to_string()),
        size: entry.size,
        executable: entry.executable,
    };
    let mut lines: Vec<FileLine> = files.map(line).collect();
    // A line is always shorter, so each page makes progress.
    keep_first(&mut lines, MAX_FILE_CHARS);
    lines
}

fn version_line(version: VersionSummary, owner: Option<&str>) -> VersionLine {
    VersionLine {
        state: unless_published(state_of(&version)),
        version: version.version,
        date: day(version.created_at),
        by: version
            .author_email
            .filter(|author| Some(author.as_str()) != owner),
        note: cut(&version.change_note, MAX_CHANGE_NOTE_CHARS),
    }
}

/// The fields that fit, and a note if there are others.
fn other_fields(front_matter: Value) -> (Map<String, Value>, Option<String>) {
    let mut fields = match front_matter {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    fields.retain(|name, _| !SAID_ELSEWHERE.contains(&name.as_str()));
    let mut left = MAX_FRONT_MATTER_CHARS;
    let before = fields.len();
    fields.retain(|name, value| {
        let needed = json_chars(name)
            .saturating_add(json_chars(value))
            .saturating_add(2);
        let fits = needed <= left;
        left -= if fits { needed } else { 0 };
        fits
    });
    let left_out = match before - fields.len() {
        0 => None,
        count => Some(format!(
            "{count} long fields of the front matter are left out: read SKILL.md with `file`"
        )),
    };
    (fields, left_out)
}

/// The messages of the stored notes, objects with `code` and `message`. Missing files have a field of their own.
fn messages(notes: &Value) -> Vec<String> {
    let notes = notes.as_array().into_iter().flatten();
    notes
        .filter(|note| note["code"] != "missing_files")
        .filter_map(|note| note.get("message")?.as_str().map(str::to_owned))
        .collect()
}
