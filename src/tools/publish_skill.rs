//! `publish_skill`: stores a version of a skill from files in the call.

use agent_skills::{ReadOptions, SkillDocument, SkillFile, SkillFolder, SkillPath, SkillVersion, Slug};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skill_scanner::ScanReport;

use super::ToolError;
use super::arguments::MAX_VERSION_CHARS;
use super::error::{ArgumentError, LifecycleRefusal};
use super::findings::FindingLine;
use super::schema::without_descriptions;
use super::tool::{CallContext, Done, Tool};
use crate::answer_size::keep_first;
use crate::db::DbError;
use crate::registry::lifecycle::VersionState;
use crate::registry::publish::{self, NewVersion, Placement, PublishOutcome, StoredVersion};
use crate::registry::scans;
use crate::registry::settings;
use crate::shown_text::echoed;

/// The most notes in an answer, and their characters.
const MAX_NOTES: usize = 20;
const MAX_NOTE_CHARS: usize = 20_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SentFile {
    /// E.g. `SKILL.md` or `scripts/fill.sh`.
    #[schemars(length(min = 1, max = 1024))]
    path: String,
    /// The content, if it is text.
    #[serde(default)]
    text: Option<String>,
    /// The content, if it is not text.
    #[serde(default)]
    base64: Option<String>,
    #[serde(default)]
    executable: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishSkill {
    /// Slug; the name in SKILL.md if omitted.
    #[serde(default)]
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: Option<String>,
    /// Every file of the skill, each with `text` or `base64`.
    #[schemars(length(min = 1, max = 512))]
    files: Vec<SentFile>,
    /// E.g. `1.2.0`; `metadata.version` in SKILL.md, or else the next number, if omitted.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// What changed, for users.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    note: Option<String>,
    /// Store a draft that only you and reviewers see.
    #[serde(default)]
    draft: bool,
    /// The unpacked archive of an upload, instead of `files`.
    #[serde(skip)]
    #[schemars(skip)]
    unpacked: Option<SkillFolder>,
}

impl PublishSkill {
    /// The same call with the files of an uploaded archive.
    #[must_use]
    pub fn with_archive(self, folder: SkillFolder) -> Self {
        Self {
            files: Vec::new(),
            unpacked: Some(folder),
            ..self
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = without_descriptions)]
pub(super) struct PublishSkillOutput {
    skill: String,
    version: String,
    digest: String,
    /// `draft`, `in_review`, `published` or `yanked`.
    state: String,
    /// `created`, `updated`, `submitted` or `unchanged`.
    outcome: String,
    /// Whether findings keep it from being installed.
    quarantined: bool,
    /// Of the scanner, worst first.
    findings: Vec<FindingLine>,
    /// Files left out or missing, and deviations from the format.
    notes: Vec<String>,
    next_step: String,
}

impl Tool for PublishSkill {
    const TITLE: &'static str = "Publish a skill";
    const DESCRIPTION: &'static str = "Store a new skill, or a new version of your own, from its files. Versions never change: send the same version only \
         with the same files. The answer says whether it is published or waits for a review, and what the scanner found.";
    type Output = PublishSkillOutput;

    fn check(&self) -> Result<(), ArgumentError> {
        if let Some(skill) = &self.skill {
            skill.parse::<Slug>().map_err(ArgumentError::Slug)?;
        }
        if let Some(version) = &self.version {
            version.parse::<SkillVersion>().map_err(ArgumentError::Version)?;
        }
        for file in &self.files {
            if file.text.is_some() == file.base64.is_some() {
                return Err(ArgumentError::FileContent(file.path.clone()));
            }
            if let Some(base64) = &file.base64
                && BASE64.decode(base64.trim()).is_err()
            {
                return Err(ArgumentError::FileBase64(file.path.clone()));
            }
        }
        Ok(())
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<PublishSkillOutput>, ToolError> {
        let Self {
            skill,
            files,
            version,
            note,
            draft,
            unpacked,
        } = self;
        let settings = settings::load(cx.tx).await?;
        // Decoding, parsing and scanning take CPU time that would block other calls.
        // An upload without a slug has no folder whose name could differ from the skill's.
        let folder_name = skill.clone().unwrap_or_default();
        let prepared = tokio::task::spawn_blocking(move || Prepared::new(&folder_name, files, unpacked))
            .await
            .map_err(|error| DbError::Corrupt(format!("preparing a skill failed: {error}")))??;
        let slug = match &skill {
            // `check` parsed it before.
            Some(slug) => slug.parse().unwrap_or_else(|_| prepared.document.name.clone()),
            None => prepared.document.name.clone(),
        };
        if !cx.principal.can_view_skill(slug.as_str()) {
            return Err(LifecycleRefusal::LimitedSlug(slug).into());
        }
        let caller = cx.caller();
        let new = NewVersion {
            version: version.and_then(|version| version.parse().ok()),
            change_note: note.as_deref().unwrap_or_default(),
            draft,
            ..NewVersion::new(
                Placement::Slug(&slug),
                &prepared.folder,
                &prepared.document,
                &caller,
                &settings,
                &prepared.scan,
            )
        };
        let stored = publish::store(cx.tx, &new)
            .await
            .map_err(LifecycleRefusal::publish)?;
        let subject = stored.subject();
        let findings = FindingLine::counted(&prepared.scan.findings, &settings);
        Ok(Done::new(output(stored, findings, &prepared)).with_subject(subject))
    }
}

struct Prepared {
    folder: SkillFolder,
    document: SkillDocument,
    scan: ScanReport,
}

impl Prepared {
    fn new(
        folder_name: &str,
        files: Vec<SentFile>,
        unpacked: Option<SkillFolder>,
    ) -> Result<Self, LifecycleRefusal> {
        let invalid = |error: &dyn std::fmt::Display| LifecycleRefusal::InvalidSkill(error.to_string());
        let mut folder = match unpacked {
            Some(folder) => folder,
            None => {
                let files = files.into_iter().map(decoded).collect::<Result<_, _>>()?;
                SkillFolder::from_files(folder_name, files).map_err(|error| invalid(&error))?
            }
        };
        agent_skills::exclude_files(&mut folder, &ReadOptions::default()).map_err(|error| invalid(&error))?;
        let document = agent_skills::read_document(folder.skill_md(), &folder.folder_name)
            .map_err(|error| invalid(&error))?;
        let scan = scans::scan_folder(&folder);
        Ok(Self {
            folder,
            document,
            scan,
        })
    }

    fn notes(&self) -> Vec<String> {
        let paths = self.folder.files.iter().map(|file| file.path.as_str());
        let missing = agent_skills::missing_files(&self.document, paths)
            .into_iter()
            .map(|path| format!("SKILL.md names {path}, which the skill does not have"));
        let diagnostics = self.document.diagnostics.iter().chain(&self.folder.diagnostics);
        let mut notes: Vec<String> = missing
            .chain(diagnostics.map(ToString::to_string))
            .take(MAX_NOTES)
            .collect();
        keep_first(&mut notes, MAX_NOTE_CHARS);
        notes
    }
}

fn decoded(file: SentFile) -> Result<SkillFile, LifecycleRefusal> {
    let path = SkillPath::parse(&file.path).map_err(|error| {
        LifecycleRefusal::InvalidSkill(format!("invalid path \"{}\": {error}", echoed(&file.path)))
    })?;
    let bytes = match (file.text, file.base64) {
        (Some(text), _) => text.into_bytes(),
        (None, Some(base64)) => BASE64.decode(base64.trim()).unwrap_or_default(),
        (None, None) => Vec::new(),
    };
    Ok(SkillFile {
        path,
        bytes,
        is_executable: file.executable,
    })
}

fn output(stored: StoredVersion, findings: Vec<FindingLine>, prepared: &Prepared) -> PublishSkillOutput {
    let outcome = match stored.outcome {
        PublishOutcome::Created => "created",
        PublishOutcome::Updated => "updated",
        PublishOutcome::Submitted => "submitted",
        PublishOutcome::Unchanged => "unchanged",
    };
    PublishSkillOutput {
        next_step: next_step(&stored),
        skill: stored.slug,
        version: stored.version,
        digest: stored.digest.to_string(),
        state: stored.state.to_string(),
        outcome: outcome.to_owned(),
        quarantined: stored.quarantined,
        findings,
        notes: prepared.notes(),
    }
}

/// What the author can do next.
pub(super) fn next_step(stored: &StoredVersion) -> String {
    if stored.quarantined && stored.state != VersionState::Yanked {
        return "Nobody can find or install it because of its findings. Remove what they name and publish again, or ask a reviewer \
                to override them with review_skill."
            .to_owned();
    }
    match stored.state {
        VersionState::Draft => "Call update_skill with action `submit` when it is ready.".to_owned(),
        VersionState::InReview => {
            "It waits for a review by another user; get_skill with this version shows the result.".to_owned()
        }
        VersionState::Published if stored.is_latest => {
            "It is the latest version. search_skills finds it now.".to_owned()
        }
        VersionState::Published => {
            "A higher version is the latest; install it by naming this version.".to_owned()
        }
        VersionState::Yanked => {
            "These files were withdrawn before. Change them, or call yank_skill with `undo`.".to_owned()
        }
    }
}
