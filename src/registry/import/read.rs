//! Reads the skills of a source, with everything that does not need the database: parsing, repair and scan.

use std::path::Path;
use std::sync::Arc;

use agent_skills::{
    Diagnostic, Exclusion, Found, FoundSkill, Origin, PluginInfo, SKILL_MD, SkillDocument, SkillFolder,
    SkillSource, SkillVersion, missing_files, read_document, repair_document, with_name,
};
use skill_scanner::ScanReport;

use super::exported::ExportedTenant;
use super::opened::{Content, Opened};
use super::report::{ImportOutcome, Line};
use crate::ids::Slug;
use crate::registry::publish::DiagnosticLine;
use crate::registry::scans;

const MAX_SOURCE_CHARS: usize = 1024;
/// Number of paths of other programs in an archive that are named.
const MAX_LEFT_OUT_NAMED: usize = 20;

/// Names of folders that say nothing about the skills in them, so they do not tell two skills of one name apart.
const GENERIC_FOLDERS: [&str; 12] = [
    "skills",
    "skill",
    ".claude",
    ".agents",
    ".codex",
    ".cursor",
    ".github",
    ".gemini",
    ".opencode",
    "plugins",
    "packages",
    "src",
];

/// What the reader hands on.
pub(super) enum Item {
    Skill(Box<ReadSkill>),
    /// What is not to be stored.
    Line(Line),
}

/// Reads a part of the source. Parts are read in parallel, because parsing and scanning a skill take longer than storing it.
pub(super) type Task = Box<dyn FnOnce() -> Option<Item> + Send>;

/// A skill that is ready to be stored.
pub(super) struct ReadSkill {
    pub(super) source: String,
    pub(super) folder: SkillFolder,
    pub(super) document: SkillDocument,
    pub(super) scan: ScanReport,
    /// Put before the slug if it is taken.
    pub(super) prefix: Option<String>,
    /// The version, if the skill does not name one.
    pub(super) version: Option<SkillVersion>,
    pub(super) fixed: bool,
    pub(super) notes: Vec<DiagnosticLine>,
}

impl ReadSkill {
    /// Writes `name` into `SKILL.md`, in memory.
    pub(super) fn rename(&mut self, name: &Slug) -> Result<(), String> {
        let renamed = with_name(self.folder.skill_md(), name);
        let document = read_document(&renamed, name.as_str()).map_err(|error| error.to_string())?;
        self.document.front_matter = document.front_matter;
        self.document.name = document.name;
        replace_skill_md(&mut self.folder, renamed);
        self.scan = scans::scan_folder(&self.folder);
        self.fixed = true;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    fix: bool,
}

impl Reader {
    pub(super) const fn new(fix: bool) -> Self {
        Self { fix }
    }

    /// Passes a task for everything in the source to `send`, in order, until it returns `false`.
    pub(super) fn find(self, opened: &Opened, mut send: impl FnMut(Task) -> bool) {
        let report = |line| -> Task { Box::new(move || Some(Item::Line(line))) };
        for line in archive_lines(opened) {
            if !send(report(line)) {
                return;
            }
        }
        match &opened.content {
            Content::Folder(source) => {
                let is_extracted = opened.is_extracted();
                for found in source.find() {
                    let task: Task = match found {
                        Found::Skill(skill) => {
                            let source = Arc::clone(source);
                            Box::new(move || Some(self.read_skill(is_extracted, &source, *skill)))
                        }
                        Found::Refused { source, error } => {
                            report(Line::because(source, ImportOutcome::Refused, error.to_string()))
                        }
                        Found::LeftOut {
                            source,
                            reason,
                            skills,
                        } => report(left_out(source, reason, skills)),
                    };
                    if !send(task) {
                        return;
                    }
                }
            }
            Content::Export(export) => {
                for at in 0..export.versions.len() {
                    let export = Arc::clone(export);
                    if !send(Box::new(move || self.read_version(&export, at))) {
                        return;
                    }
                }
            }
        }
    }

    fn read_skill(self, is_extracted: bool, source: &SkillSource, found: FoundSkill) -> Item {
        let refused =
            |reason: String| Item::Line(Line::because(&found.source, ImportOutcome::Refused, reason));
        if found.path.to_str().is_none() {
            return refused("the path of the folder is not UTF-8; rename it".to_owned());
        }
        if found.source.chars().count() > MAX_SOURCE_CHARS {
            return refused(format!("the path is longer than {MAX_SOURCE_CHARS} characters"));
        }
        let mut folder = match source.read(&found.path) {
            Ok(folder) => folder,
            Err(error) => return refused(error.to_string()),
        };
        folder.diagnostics.extend(found.diagnostics.iter().cloned());
        let prefix = prefix_of(&found, source.root(), is_extracted);
        folder.parent_name.clone_from(&prefix);
        match self.prepare(&found.source, folder) {
            Ok(mut skill) => {
                skill.prefix = prefix;
                take_plugin(&mut skill, found.plugin.as_ref());
                take_origin(&mut skill, found.origin.as_ref());
                Item::Skill(Box::new(skill))
            }
            Err(reason) => refused(reason),
        }
    }

    fn read_version(self, export: &ExportedTenant, at: usize) -> Option<Item> {
        let version = export.versions.get(at)?;
        let read = export.read(version).and_then(|folder| {
            let mut skill = self.prepare(&version.slug, folder)?;
            skill.version = Some(version.label.parse().map_err(|error| format!("{error}"))?);
            // The slug of the export, also if the name is another.
            skill.document.name = version.slug.parse().map_err(|error| format!("{error}"))?;
            Ok(skill)
        });
        Some(match read {
            Ok(skill) => Item::Skill(Box::new(skill)),
            Err(reason) => Item::Line(Line::because(&version.slug, ImportOutcome::Refused, reason)),
        })
    }

    /// Parses, repairs and scans a folder.
    fn prepare(self, source: &str, mut folder: SkillFolder) -> Result<ReadSkill, String> {
        let mut document =
            read_document(folder.skill_md(), &folder.folder_name).map_err(|error| error.to_string())?;
        let missing = missing_files(&document, folder.files.iter().map(|file| file.path.as_str()));
        if !missing.is_empty() {
            folder
                .diagnostics
                .push(Diagnostic::MissingFiles { files: missing });
        }
        let notes = document
            .diagnostics
            .iter()
            .chain(&folder.diagnostics)
            .map(DiagnosticLine::from)
            .collect();
        let mut fixed = false;
        if self.fix
            && let Some(repaired) =
                repair_document(folder.skill_md(), &folder.folder_name).map_err(|error| error.to_string())?
        {
            document = read_document(&repaired, &folder.folder_name).map_err(|error| error.to_string())?;
            replace_skill_md(&mut folder, repaired);
            fixed = true;
        }
        let scan = scans::scan_folder(&folder);
        Ok(ReadSkill {
            source: source.to_owned(),
            folder,
            document,
            scan,
            prefix: None,
            version: None,
            fixed,
            notes,
        })
    }
}

fn replace_skill_md(folder: &mut SkillFolder, bytes: Vec<u8>) {
    if let Some(file) = folder
        .files
        .iter_mut()
        .find(|file| file.path.as_str() == SKILL_MD)
    {
        file.bytes = bytes;
    }
}

fn archive_lines(opened: &Opened) -> Vec<Line> {
    let mut lines: Vec<Line> = opened
        .skipped_links
        .iter()
        .map(|link| {
            let reason = format!("the {} in the archive was not extracted", link.kind);
            Line::because(link.path.to_string(), ImportOutcome::LeftOut, reason)
        })
        .collect();
    let named = opened.left_out.iter().take(MAX_LEFT_OUT_NAMED);
    lines.extend(
        named.map(|path| Line::because(path, ImportOutcome::LeftOut, "it belongs to another program")),
    );
    let more = opened.left_out.len().saturating_sub(MAX_LEFT_OUT_NAMED);
    if more > 0 {
        let reason = format!("{more} more files and folders belong to other programs");
        lines.push(Line::because(".", ImportOutcome::LeftOut, reason));
    }
    lines
}

fn left_out(source: String, reason: Exclusion, skills: usize) -> Line {
    let reason = format!("{reason}; it contains skills ({skills}), which --include adds");
    Line::because(source, ImportOutcome::LeftOut, reason)
}

/// What tells a skill apart from another of the same name: its plugin, else the innermost folder around it that has a name of
/// its own.
fn prefix_of(found: &FoundSkill, root: &Path, is_extracted: bool) -> Option<String> {
    if let Some(plugin) = &found.plugin {
        return Some(plugin.name.to_string());
    }
    let around = Path::new(&found.source).parent()?;
    let inside = around
        .components()
        .rev()
        .map(|segment| segment.as_os_str().to_string_lossy().into_owned())
        .find(|name| !GENERIC_FOLDERS.contains(&name.as_str()));
    inside.or_else(|| {
        // The folder around the source of a skill at the root; it is meaningless for an archive.
        let named = if found.source == "." {
            root.parent().filter(|_| !is_extracted)
        } else {
            Some(root)
        };
        let outside = named?
            .ancestors()
            .filter_map(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned());
        outside
            .take(if is_extracted { 1 } else { 4 })
            .find(|name| !GENERIC_FOLDERS.contains(&name.as_str()))
    })
}

fn take_plugin(skill: &mut ReadSkill, plugin: Option<&PluginInfo>) {
    let Some(plugin) = plugin else {
        return;
    };
    for keyword in &plugin.keywords {
        if !skill.document.tags.contains(keyword)
            && skill.document.tags.len() < agent_skills::limits::MAX_TAGS
        {
            skill.document.tags.push(keyword.clone());
        }
    }
    if skill.document.category.is_none() {
        skill.document.category.clone_from(&plugin.category);
    }
    let from = format!("the plugin {}", plugin.name);
    take_version(skill, plugin.version.as_deref(), &from);
}

fn take_origin(skill: &mut ReadSkill, origin: Option<&Origin>) {
    let Some(origin) = origin else {
        return;
    };
    let mut message = format!("it was installed from {} as {}", origin.source, origin.name);
    for (what, value) in [
        ("version", &origin.version),
        ("revision", &origin.reference),
        ("hash", &origin.hash),
    ] {
        if let Some(value) = value {
            message.push_str(&format!(", {what} {value}"));
        }
    }
    skill.notes.push(DiagnosticLine {
        code: "installed_copy",
        breaks_a_rule: false,
        message,
    });
    take_version(skill, origin.version.as_deref(), &origin.source);
}

/// Takes a version from elsewhere, if the skill names none.
fn take_version(skill: &mut ReadSkill, version: Option<&str>, from: &str) {
    let Some(text) = version.filter(|_| skill.document.version.is_none() && skill.version.is_none()) else {
        return;
    };
    let message = match text.parse::<SkillVersion>() {
        Ok(version) => {
            skill.version = Some(version);
            format!("the version {text} is that of {from}")
        }
        Err(_) => format!("the version of {from} was not used: it is not a version"),
    };
    skill.notes.push(DiagnosticLine {
        code: "version_from_elsewhere",
        breaks_a_rule: false,
        message,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(source: &str, root: &str, is_extracted: bool) -> Option<String> {
        let found = FoundSkill {
            path: Path::new(root).join(source),
            source: source.to_owned(),
            plugin: None,
            origin: None,
            diagnostics: Vec::new(),
        };
        prefix_of(&found, Path::new(root), is_extracted)
    }

    #[test]
    fn prefix_is_the_innermost_folder_with_a_name_of_its_own() {
        for (source, root, is_extracted, expected) in [
            ("team-a/review", "/srv/all", false, Some("team-a")),
            (
                "plugins/rigging/skills/review",
                "/srv/all",
                false,
                Some("rigging"),
            ),
            ("review", "/srv/team-a", false, Some("team-a")),
            ("skills/review", "/srv/team-a", false, Some("team-a")),
            ("review", "/srv/team-a/.claude/skills", false, Some("team-a")),
            (".", "/srv/team-a/review", false, Some("team-a")),
            ("review", "/tmp/skillkeep-import-x/team-a", true, Some("team-a")),
            (".", "/tmp/skillkeep-import-x/review", true, None),
            ("skills/review", "/tmp/skillkeep-import-x/skills", true, None),
        ] {
            assert_eq!(
                prefix(source, root, is_extracted).as_deref(),
                expected,
                "{source} in {root}"
            );
        }
    }
}
