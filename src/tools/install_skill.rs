//! `install_skill`: the files of one version, and where they go.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Done, SideEffect, Tool, ToolError, limits};
use crate::registry::usage::Subject;
use crate::registry::versions::{self, FileContents};
use crate::registry::{installs, skills};
use crate::tenancy::Scope;

/// The assistant that shall use the skill: each looks for skills in folders of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Assistant {
    /// Claude Code.
    ClaudeCode,
    /// Codex.
    Codex,
    /// Cursor.
    Cursor,
    /// Gemini CLI.
    GeminiCli,
    /// VS Code with Copilot.
    Vscode,
    /// Any folder: the path is up to you.
    Folder,
}

/// Whether the skill is for one project or for everything that the user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Location {
    /// Below the project's root.
    #[default]
    Project,
    /// Below the user's home folder.
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

    /// The folder in which the assistant looks for skills, from its own documentation.
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

/// What to install, and for whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallSkill {
    /// The skill's slug, as search_skills shows it.
    #[schemars(length(min = 1, max = 64))]
    skill: String,
    /// The version; the latest when left out.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    version: Option<String>,
    /// The assistant that shall use it.
    assistant: Assistant,
    /// `project` (when left out) or `user`.
    #[serde(default)]
    location: Location,
}

/// One file to write.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InstallFile {
    /// The path inside the skill's folder.
    path: String,
    /// Where to write it: relative to the project's root, or below the home folder where it begins with `~/`.
    target: String,
    /// `sha256:` and the SHA-256 of the bytes; check it after writing.
    digest: String,
    /// The size in bytes.
    size: i64,
    /// Whether the file must be executable.
    executable: bool,
    /// `utf-8` where `content` is the text itself, `base64` where it must be decoded.
    encoding: String,
    /// The contents.
    content: String,
}

/// The files of a version and where they go. Nothing is on disk yet.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InstallSkillOutput {
    /// The id to give to confirm_install.
    install_id: String,
    /// The skill.
    skill: String,
    /// Its version.
    version: String,
    /// The version's digest.
    digest: String,
    /// The folder that the files go to.
    folder: String,
    /// The files to write.
    files: Vec<InstallFile>,
    /// What is left to do.
    next_step: String,
}

impl Tool for InstallSkill {
    const NAME: &'static str = "install_skill";
    const TITLE: &'static str = "Install a skill";
    const DESCRIPTION: &'static str = "Gives every file of a skill's version with its digest and the place where it goes for Claude Code, Codex, Cursor, \
         Gemini CLI, VS Code or a plain folder. It writes nothing itself: write the files, then call confirm_install with \
         what is on disk.";
    const SCOPE: Option<Scope> = Some(Scope::SkillsInstall);
    const EFFECT: SideEffect = SideEffect::Adds;
    type Output = InstallSkillOutput;

    fn check(&self) -> Result<(), String> {
        limits::skill_and_version(&self.skill, self.version.as_deref())
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<InstallSkillOutput>, ToolError> {
        let version = self.version.as_deref();
        let found = skills::find(cx.tx, &self.skill, version)
            .await?
            .filter(|found| cx.principal.can_view_skill(&found.slug))
            .ok_or_else(|| ToolError::no_such_skill(&self.skill, version))?;
        if let Some(reason) = &found.yanked {
            let why = if reason.is_empty() {
                String::new()
            } else {
                format!(" ({reason})")
            };
            return Err(ToolError::refused(
                "yanked",
                format!(
                    "Version {} of {} was withdrawn{why} and is not installed any more. Leave the version out to get the latest.",
                    found.version, found.slug
                ),
            ));
        }
        let folder = format!("{}/{}", self.assistant.skills_folder(self.location), found.slug);
        let contents = versions::contents(cx.tx, found.version_id).await?;
        let id = installs::create(
            cx.tx,
            &found,
            cx.principal.user,
            cx.principal.api_key,
            self.assistant.as_str(),
            &folder,
        )
        .await?;
        let subject = Subject {
            skill: Some(found.skill),
            version: Some(found.version_id),
            digest: Some(found.digest),
        };
        Ok(Done::new(InstallSkillOutput {
            install_id: id.to_string(),
            skill: found.slug,
            version: found.version,
            digest: found.digest.to_string(),
            files: contents.into_iter().map(|file| install_file(&folder, file)).collect(),
            next_step: format!(
                "Write the {folder} files, then call confirm_install with install_id {id} and the path and sha256 digest of \
                 each file as it is on disk."
            ),
            folder,
        })
        .about(subject))
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
