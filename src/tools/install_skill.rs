//! `install_skill`: the files of one version, in pages, and the folder to write them to.

mod page;

use std::fmt;
use std::str::FromStr;

use agent_skills::{SKILL_MD, Slug, read_document};
use assistants::skill_targets::WrittenSkill;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::page::{FilePiece, Page, Position};
use super::ToolError;
use super::arguments::MAX_VERSION_CHARS;
use super::assistant::{Assistant, Location};
use super::error::Refusal;
use super::not_found;
use super::signature::SignatureOutput;
use super::tool::{CallContext, Done, Tool};
use super::version_argument::resolve_version;
use crate::ids::InstallId;
use crate::registry::caller::Viewer;
use crate::registry::cursor::{self, InvalidCursor, MAX_CURSOR_CHARS};
use crate::registry::installs::{self, NewInstall};
use crate::registry::management::{self, Deprecation};
use crate::registry::signing;
use crate::registry::skills::{self, ResolvedVersion};
use crate::registry::versions::{self, FileEntry};
use crate::shown_text::echoed;

/// Bytes of `SKILL.md` that are read for the notes: more than the front matter and the text of any real one.
const MAX_READ_SKILL_MD: u64 = 256 << 10;

/// Characters of JSON for files in one answer.
const DEFAULT_MAX_CHARS: u32 = 40_000;
/// The most missing files that a note names.
const MAX_MISSING: usize = 10;
/// The list that the cursors belong to.
const CURSOR_LIST: &str = "install_skill";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallSkill {
    /// Slug, e.g. `fill-pdf`.
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    /// E.g. `1.2`, `^1.2` or `latest` (default).
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// `agents`: all that read .agents/skills; `folder`: any other.
    assistant: Assistant,
    /// Below the project root (default), or below the home directory for all projects.
    #[serde(default)]
    location: Location,
    /// Characters of files per answer; default 40000; 0: no files, only where to download them.
    #[serde(default)]
    #[schemars(range(min = 0, max = 80_000))]
    max_chars: Option<u32>,
    /// From next_cursor: the next files of the same install.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_CURSOR_CHARS))]
    cursor: Option<String>,
}

/// What was written to one skills folder.
#[derive(Debug, Serialize, JsonSchema)]
struct WrittenFolder {
    folder: String,
    /// `new`, `update`, `current`, `repair` or `link`.
    change: String,
    /// Edited files that stayed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kept: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    backed_up: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::schema::without_descriptions)]
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
    file_count: usize,
    total_bytes: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FilePiece>,
    // Set if files, or the rest of the last one, follow: call again with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    // Set by a process that runs on the caller's machine and wrote the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<Vec<WrittenFolder>>,
    /// Writes and verifies all of it, where the user has the program skillkeep.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    /// GET at the registry's address with the same key: all files as a zip archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    download: Option<String>,
    // What the user should know before this assistant uses the skill.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    next_step: String,
}

impl Tool for InstallSkill {
    const TITLE: &'static str = "Install a skill";
    const DESCRIPTION: &'static str = "Get the files of a skill's version and the folder in which an assistant looks for them. Where this server may write to \
         the user's disk, it writes them and says so (`written`). Else write the files, then call confirm_install.";
    type Output = InstallSkillOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<InstallSkillOutput>, ToolError> {
        let continued = self
            .cursor
            .as_deref()
            .map(|cursor| Continued::read(cx, cursor))
            .transpose()?;
        let version = match &continued {
            Some(continued) => Some(continued.version.clone()),
            None => resolve_version(cx, &self.skill, self.version.as_deref()).await?,
        };
        let version = version.as_deref();
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
        let subject = resolved.subject();
        let output = match continued {
            Some(continued) => self.next_page(cx, resolved, continued).await?,
            None => self.first_page(cx, resolved).await?,
        };
        Ok(Done::new(output).with_subject(subject))
    }
}

impl InstallSkill {
    fn max_chars(&self) -> usize {
        usize::try_from(self.max_chars.unwrap_or(DEFAULT_MAX_CHARS)).unwrap_or(usize::MAX)
    }

    async fn first_page(
        &self,
        cx: &CallContext<'_>,
        resolved: ResolvedVersion,
    ) -> Result<InstallSkillOutput, ToolError> {
        let folder = format!(
            "{}/{}",
            self.assistant.skills_folder(self.location),
            resolved.slug
        );
        let new = NewInstall {
            skill: resolved.skill,
            version: resolved.version_id,
            user: cx.principal.user,
            api_key: cx.principal.api_key,
            assistant: self.assistant.as_str(),
            target: &folder,
        };
        // Together, so that they take one round trip.
        let (manifest, skill_md, managed, signature, id) = futures::try_join!(
            versions::manifest(cx.tx, resolved.version_id),
            versions::beginning(cx.tx, resolved.version_id, SKILL_MD, MAX_READ_SKILL_MD),
            management::find(cx.tx, &resolved.slug),
            signing::of_version(cx.tx, resolved.version_id),
            installs::create(cx.tx, &new),
        )?;
        let deprecation = managed.and_then(|skill| skill.deprecation);
        let mut notes = notes(self.assistant, &resolved.slug, &skill_md, &manifest);
        notes.extend(deprecation.map(|deprecation| deprecation_note(cx, deprecation)));
        let page = PageRequest {
            install: id,
            folder,
            start: Position::default(),
        };
        self.page(cx, resolved, manifest, page, notes)
            .await
            .map(|output| InstallSkillOutput {
                signature: signature.map(SignatureOutput::from),
                ..output
            })
    }

    /// A page of an install that this user began.
    async fn next_page(
        &self,
        cx: &CallContext<'_>,
        resolved: ResolvedVersion,
        continued: Continued,
    ) -> Result<InstallSkillOutput, ToolError> {
        let (install, manifest) = futures::try_join!(
            installs::find(cx.tx, continued.install, cx.principal.user),
            versions::manifest(cx.tx, resolved.version_id),
        )?;
        let install = install
            .filter(|install| install.version_id == resolved.version_id)
            .ok_or(Refusal::UnknownInstall)?;
        let page = PageRequest {
            install: install.id,
            folder: install.target,
            start: continued.position,
        };
        self.page(cx, resolved, manifest, page, Vec::new()).await
    }

    async fn page(
        &self,
        cx: &CallContext<'_>,
        resolved: ResolvedVersion,
        manifest: Vec<FileEntry>,
        request: PageRequest,
        notes: Vec<String>,
    ) -> Result<InstallSkillOutput, ToolError> {
        let manifest = page::in_order(manifest);
        let max_chars = self.max_chars();
        let page = if max_chars == 0 {
            Page::default()
        } else {
            page::read(cx.tx, resolved.version_id, &manifest, request.start, max_chars).await?
        };
        let next_cursor = page.next.map(|position| {
            let continued = Continued {
                install: request.install,
                version: resolved.version.clone(),
                position,
            };
            cursor::write(cx.principal, CURSOR_LIST, &continued.to_string())
        });
        Ok(InstallSkillOutput {
            install_id: request.install.to_string(),
            next_step: next_step(max_chars, next_cursor.is_some()).to_owned(),
            written: None,
            command: Some(self.command(&resolved)),
            download: Some(format!("/skills/{}/{}.zip", resolved.slug, resolved.version)),
            skill: resolved.slug,
            version: resolved.version,
            digest: resolved.digest.to_string(),
            folder: request.folder,
            signature: None,
            file_count: manifest.len(),
            total_bytes: manifest.iter().map(|entry| entry.size).sum(),
            files: page.files,
            next_cursor,
            notes,
        })
    }

    /// The command that installs the same on the user's machine.
    fn command(&self, resolved: &ResolvedVersion) -> String {
        let ResolvedVersion { slug, version, .. } = resolved;
        let assistant = self
            .assistant
            .for_command()
            .map_or_else(String::new, |name| format!(" --for {name}"));
        let location = match self.location {
            Location::Project => "",
            Location::User => " --user",
        };
        format!("skillkeep add {slug}@{version}{assistant}{location}")
    }
}

/// Which files of which install an answer holds.
struct PageRequest {
    install: InstallId,
    folder: String,
    start: Position,
}

/// The position that a cursor holds.
struct Continued {
    install: InstallId,
    version: String,
    position: Position,
}

impl Continued {
    fn read(cx: &CallContext<'_>, cursor: &str) -> Result<Self, ToolError> {
        let text = cursor::read(cx.principal, CURSOR_LIST, cursor)?;
        // Only this server signs positions, so another form is a bug, not an argument.
        text.parse().map_err(|()| InvalidCursor.into())
    }
}

impl fmt::Display for Continued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            install,
            version,
            position,
        } = self;
        write!(f, "{install} {} {} {version}", position.file, position.byte)
    }
}

impl FromStr for Continued {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(4, ' ');
        let mut next = || parts.next().ok_or(());
        Ok(Self {
            install: InstallId::from_uuid(next()?.parse().map_err(drop)?),
            position: Position {
                file: next()?.parse().map_err(drop)?,
                byte: next()?.parse().map_err(drop)?,
            },
            version: next()?.to_owned(),
        })
    }
}

const fn next_step(max_chars: usize, has_more: bool) -> &'static str {
    match (max_chars, has_more) {
        (0, _) => {
            "Run `command`, or get `download` and unpack it to `folder`, then call confirm_install with `install_id`."
        }
        (_, true) => {
            "Write the files to `folder`, then call install_skill again with `cursor` for the rest; or run `command`, which does \
             all of it."
        }
        (_, false) => {
            "Write the files to `folder`, then call confirm_install with `install_id` and the path, relative to `folder`, and \
             digest of each file on disk."
        }
    }
}

fn notes(assistant: Assistant, slug: &str, skill_md: &[u8], manifest: &[FileEntry]) -> Vec<String> {
    let Ok(document) = read_document(skill_md, slug) else {
        return Vec::new();
    };
    // As written: the assistant reads the file, not the name and description that the catalog derived from it.
    let written = |field: &str| document.front_matter.get(field).and_then(Value::as_str);
    let mut notes = assistant.notes(&WrittenSkill {
        slug,
        name: written("name").unwrap_or(slug),
        description: written("description").unwrap_or_default(),
    });
    let paths = manifest.iter().map(|entry| entry.path.as_str());
    let missing = agent_skills::missing_files(&document, paths);
    if !missing.is_empty() {
        let named = missing.iter().take(MAX_MISSING).map(|path| echoed(path));
        let named: Vec<_> = named.collect();
        let more = match missing.len().saturating_sub(MAX_MISSING) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        notes.push(format!(
            "SKILL.md names files that this version lacks: {}{more}.",
            named.join(", ")
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
