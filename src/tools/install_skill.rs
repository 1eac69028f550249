//! `install_skill`: the files of one version and the folder to write them to.

use agent_skills::{SKILL_MD, Slug, read_document};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ToolError;
use super::arguments::MAX_VERSION_CHARS;
use super::assistant::{Assistant, Installed, Location};
use super::error::Refusal;
use super::not_found::{self, requested_version};
use super::signature::SignatureOutput;
use super::tool::{CallContext, Done, Tool};
use crate::registry::caller::Viewer;
use crate::registry::installs::{self, NewInstall};
use crate::registry::management::{self, Deprecation};
use crate::registry::signing;
use crate::registry::skills;
use crate::registry::versions::{self, FileContents};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallSkill {
    /// Slug, e.g. `fill-pdf`.
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    /// E.g. `1.2`; default `latest`.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// `agents`: all that read .agents/skills; `folder`: any other.
    assistant: Assistant,
    /// Below the project root (default), or below the home directory for all projects.
    #[serde(default)]
    location: Location,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InstallFile {
    /// Relative to `folder`.
    path: String,
    digest: String,
    /// Bytes.
    size: i64,
    executable: bool,
    /// `utf-8` or `base64`.
    encoding: String,
    content: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InstallSkillOutput {
    install_id: String,
    skill: String,
    version: String,
    digest: String,
    // Of skill, version and digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureOutput>,
    /// Relative to the project root, or to the home directory with `~/`. Ends with the slug.
    folder: String,
    files: Vec<InstallFile>,
    // What the user should know before this assistant uses the skill.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    next_step: String,
}

impl Tool for InstallSkill {
    const TITLE: &'static str = "Install a skill";
    const DESCRIPTION: &'static str = "Get all files of a skill's version and the folder in which an assistant looks for them. It does not write to disk: \
         write the files, then call confirm_install.";
    type Output = InstallSkillOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<InstallSkillOutput>, ToolError> {
        let version = requested_version(self.version.as_deref());
        let found = skills::find(cx.tx, &self.skill, version, Viewer::PUBLISHED).await?;
        let Some(resolved) = found.filter(|resolved| cx.principal.can_view_skill(&resolved.slug)) else {
            return Err(not_found::refusal(cx, &self.skill, version).await?.into());
        };
        if let Some(reason) = &resolved.yanked {
            return Err(Refusal::Yanked {
                reason: reason.clone(),
                slug: resolved.slug,
                version: resolved.version,
            }
            .into());
        }
        let folder = format!(
            "{}/{}",
            self.assistant.skills_folder(self.location),
            resolved.slug
        );
        let (contents, managed, signature) = futures::try_join!(
            versions::contents(cx.tx, resolved.version_id),
            management::find(cx.tx, &resolved.slug),
            signing::of_version(cx.tx, resolved.version_id),
        )?;
        let id = installs::create(
            cx.tx,
            &NewInstall {
                skill: resolved.skill,
                version: resolved.version_id,
                user: cx.principal.user,
                api_key: cx.principal.api_key,
                assistant: self.assistant.as_str(),
                target: &folder,
            },
        )
        .await?;
        let subject = resolved.subject();
        let deprecation = managed.and_then(|skill| skill.deprecation);
        let mut notes = notes(self.assistant, &resolved.slug, &contents);
        notes.extend(deprecation.map(|deprecation| deprecation_note(cx, deprecation)));
        let output = InstallSkillOutput {
            install_id: id.to_string(),
            skill: resolved.slug,
            version: resolved.version,
            digest: resolved.digest.to_string(),
            signature: signature.map(SignatureOutput::from),
            files: contents.into_iter().map(install_file).collect(),
            notes,
            next_step: "Write the files to `folder`, then call confirm_install with `install_id` and the path, relative to \
                        `folder`, and digest of each file on disk."
                .to_owned(),
            folder,
        };
        Ok(Done::new(output).with_subject(subject))
    }
}

fn notes(assistant: Assistant, slug: &str, files: &[FileContents]) -> Vec<String> {
    let skill_md = files.iter().find(|file| file.entry.path == SKILL_MD);
    let Some(document) = skill_md.and_then(|file| read_document(&file.bytes, slug).ok()) else {
        return Vec::new();
    };
    // As written: the assistant reads the file, not the name and description that the catalog derived from it.
    let written = |field: &str| document.front_matter.get(field).and_then(Value::as_str);
    let mut notes = assistant.notes(&Installed {
        slug,
        name: written("name").unwrap_or(slug),
        description: written("description").unwrap_or_default(),
    });
    let paths = files.iter().map(|file| file.entry.path.as_str());
    let missing = agent_skills::missing_files(&document, paths);
    if !missing.is_empty() {
        notes.push(format!(
            "SKILL.md names files that this version lacks: {}.",
            missing.join(", ")
        ));
    }
    notes
}

fn deprecation_note(cx: &CallContext<'_>, deprecation: Deprecation) -> String {
    let successor = deprecation
        .successor
        .filter(|slug| cx.principal.can_view_skill(slug));
    let instead = successor.map_or_else(String::new, |slug| format!(" Use {slug} instead."));
    let note = deprecation.note;
    format!("The skill is deprecated: {note}{instead}")
}

fn install_file(file: FileContents) -> InstallFile {
    let FileContents { entry, bytes } = file;
    let (encoding, content) = match versions::text_or_bytes(bytes) {
        Ok(text) => ("utf-8", text),
        Err(bytes) => ("base64", BASE64.encode(bytes)),
    };
    InstallFile {
        path: entry.path,
        digest: entry.digest.to_string(),
        size: entry.size,
        executable: entry.executable,
        encoding: encoding.to_owned(),
        content,
    }
}
