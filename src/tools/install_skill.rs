//! `install_skill`: the files of one version and their target paths.

use agent_skills::Slug;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolError;
use super::arguments::MAX_VERSION_CHARS;
use super::error::Refusal;
use super::tool::{CallContext, Done, Tool};
use crate::registry::caller::Viewer;
use crate::registry::installs::{self, NewInstall};
use crate::registry::skills;
use crate::registry::versions::{self, FileContents};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Assistant {
    ClaudeCode,
    Codex,
    Cursor,
    GeminiCli,
    Vscode,
    Folder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Location {
    #[default]
    Project,
    User,
}

impl Assistant {
    const fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Cursor => "cursor",
            Self::GeminiCli => "gemini-cli",
            Self::Vscode => "vscode",
            Self::Folder => "folder",
        }
    }

    /// The folder in which the assistant looks for skills, according to its documentation.
    const fn skills_folder(self, location: Location) -> &'static str {
        match (self, location) {
            (Self::ClaudeCode, Location::Project) => ".claude/skills",
            (Self::ClaudeCode, Location::User) => "~/.claude/skills",
            (Self::Codex, Location::Project) => ".agents/skills",
            (Self::Codex, Location::User) => "~/.agents/skills",
            (Self::Cursor, Location::Project) => ".cursor/skills",
            (Self::Cursor, Location::User) => "~/.cursor/skills",
            (Self::GeminiCli, Location::Project) => ".gemini/skills",
            (Self::GeminiCli, Location::User) => "~/.gemini/skills",
            (Self::Vscode, Location::Project) => ".github/skills",
            (Self::Vscode, Location::User) => "~/.copilot/skills",
            (Self::Folder, Location::Project) => ".",
            (Self::Folder, Location::User) => "~",
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallSkill {
    /// Slug from search_skills, e.g. `fill-pdf`.
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    /// E.g. `1.2`; the latest if omitted.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// The assistant that will use the skill; `folder` for any other.
    assistant: Assistant,
    /// `project` (default): below the project root. `user`: below the user's home directory, for all projects.
    #[serde(default)]
    location: Location,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InstallFile {
    /// Path inside the skill's folder.
    path: String,
    /// Path to write to: relative to the project root, or to the home directory if it starts with `~/`.
    target: String,
    /// `sha256:` and the SHA-256 of the bytes.
    digest: String,
    /// Bytes.
    size: i64,
    executable: bool,
    /// `utf-8`: `content` is the text. `base64`: decode it.
    encoding: String,
    content: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InstallSkillOutput {
    /// Pass it to confirm_install.
    install_id: String,
    skill: String,
    version: String,
    digest: String,
    /// The target folder.
    folder: String,
    files: Vec<InstallFile>,
    next_step: String,
}

impl Tool for InstallSkill {
    const TITLE: &'static str = "Install a skill";
    const DESCRIPTION: &'static str = "Get all files of a skill's version with their digests and target paths for Claude Code, Codex, Cursor, Gemini CLI, \
         VS Code or a plain folder. It does not write to disk: write the files, then call confirm_install.";
    type Output = InstallSkillOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<InstallSkillOutput>, ToolError> {
        let version = self.version.as_deref();
        let resolved = skills::find(cx.tx, &self.skill, version, Viewer::PUBLISHED)
            .await?
            .filter(|resolved| cx.principal.can_view_skill(&resolved.slug))
            .ok_or_else(|| Refusal::unknown_skill(&self.skill, version))?;
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
        let contents = versions::contents(cx.tx, resolved.version_id).await?;
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
        let output = InstallSkillOutput {
            install_id: id.to_string(),
            skill: resolved.slug,
            version: resolved.version,
            digest: resolved.digest.to_string(),
            files: contents
                .into_iter()
                .map(|file| install_file(&folder, file))
                .collect(),
            next_step: format!(
                "Write the files to {folder}, then call confirm_install with install_id {id} and the path and SHA-256 digest \
                 of each file on disk."
            ),
            folder,
        };
        Ok(Done::new(output).with_subject(subject))
    }
}

fn install_file(folder: &str, file: FileContents) -> InstallFile {
    let FileContents { entry, bytes } = file;
    let (encoding, content) = match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => ("utf-8", text),
        Ok(text) => ("base64", BASE64.encode(text)),
        Err(error) => ("base64", BASE64.encode(error.as_bytes())),
    };
    InstallFile {
        target: format!("{folder}/{}", entry.path),
        path: entry.path,
        digest: entry.digest.to_string(),
        size: entry.size,
        executable: entry.executable,
        encoding: encoding.to_owned(),
        content,
    }
}
