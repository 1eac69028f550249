//! Files that a `SKILL.md` names and the skill lacks.
//!
//! Counts as a name of a file of the skill:
//!
//! - the target of a relative link, `[guide](references/guide.md)`;
//! - a path in text or in backquotes below a folder of the format (`scripts/`, `references/`, `assets/`, …) or below a
//!   folder that the skill has;
//! - a script below `scripts/` or a folder of the skill that a command in a code block runs, `python scripts/run.py`;
//! - any of these after the skill's own folder, `${SKILL_DIR}/scripts/run.py`, `~/.claude/skills/<name>/guide.md`.
//!
//! Does not count: what the text marks as an example or as a file to be created, paths with placeholders, and paths in
//! skills that are about skills or plugins, except their links.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;

use crate::document::SkillDocument;
use crate::text::with_line_feeds;

/// Maximum number of names that are returned.
const MAX_NAMES: usize = 64;

/// Folders of the format and of common practice. A path below one is a file of the skill.
const STANDARD_FOLDERS: [&str; 5] = ["scripts", "references", "reference", "assets", "resources"];

/// Programs whose first argument in a code block is a script.
const INTERPRETERS: [&str; 16] = [
    "python", "python3", "node", "bash", "sh", "zsh", "ruby", "perl", "deno", "bun", "tsx", "ts-node",
    "pwsh", "source", "run", "cat",
];

/// Words directly before a path that say that the file does not exist yet.
const CREATION_WORDS: [&str; 33] = [
    "create",
    "creates",
    "creating",
    "created",
    "write",
    "writes",
    "writing",
    "written",
    "save",
    "saves",
    "saved",
    "saving",
    "output",
    "outputs",
    "generate",
    "generates",
    "generated",
    "produce",
    "produces",
    "export",
    "exports",
    "store",
    "stores",
    "add",
    "adds",
    "adding",
    "put",
    "move",
    "rename",
    "log",
    "append",
    "new",
    "copy",
];

/// Marks in a line that the paths in it are examples.
const EXAMPLE_MARKS: [&str; 8] = [
    "e.g.",
    "for example",
    "such as",
    "example:",
    "examples:",
    "for instance",
    "i.e.",
    "if present",
];

/// The files that a `SKILL.md` names and `paths`, the files of the skill relative to its folder, do not contain: in the
/// order of the text, without duplicates, at most 64.
#[must_use]
pub fn missing_files<'a>(document: &SkillDocument, paths: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let skill = Skill::new(document, paths.into_iter().collect());
    let body = with_line_feeds(&document.body);
    let mut missing: Vec<String> = Vec::new();
    let mut fence: Option<&str> = None;
    for line in body.lines() {
        let text = line.trim();
        if let Some(marker) = ["```", "~~~"].iter().find(|marker| text.starts_with(**marker)) {
            match fence {
                None => fence = Some(marker),
                Some(open) if open == *marker => fence = None,
                Some(_) => {}
            }
            continue;
        }
        let names = if fence.is_some() {
            skill.names_in_code(text)
        } else {
            skill.names_in_text(text)
        };
        for name in names {
            if missing.len() < MAX_NAMES && !skill.has(&name) && !missing.contains(&name) {
                missing.push(name);
            }
        }
    }
    missing
}

struct Skill<'a> {
    /// How paths from outside of the skill name its folder.
    own_folder: String,
    paths: BTreeSet<&'a str>,
    /// Folders at the top of the skill.
    folders: BTreeSet<&'a str>,
    is_about_skills: bool,
}

impl<'a> Skill<'a> {
    fn new(document: &'a SkillDocument, paths: BTreeSet<&'a str>) -> Self {
        let name = document.name.as_str();
        Self {
            own_folder: format!("skills/{name}/"),
            folders: paths
                .iter()
                .filter_map(|path| Some(path.split_once('/')?.0))
                .collect(),
            paths,
            is_about_skills: name.contains("skill") || name.contains("plugin"),
        }
    }

    /// Whether the skill has the file or folder, also below another folder: commands may change into it first.
    fn has(&self, name: &str) -> bool {
        let folder = format!("{}/", name.trim_end_matches('/'));
        self.paths.iter().any(|path| {
            *path == name
                || path.starts_with(&folder)
                || path
                    .strip_suffix(name)
                    .is_some_and(|before| before.ends_with('/'))
        })
    }

    fn names_in_text(&self, line: &str) -> Vec<String> {
        let mut names = Vec::new();
        if !line.contains('/') && !line.contains("](") {
            return names;
        }
        let (text, targets) = without_links(line);
        names.extend(targets.into_iter().filter_map(link_target));
        let lower = line.to_ascii_lowercase();
        if self.is_about_skills || EXAMPLE_MARKS.iter().any(|mark| lower.contains(mark)) || is_tree(line) {
            return names;
        }
        let mut before: Vec<&str> = Vec::new();
        for word in words(&text) {
            if let Some(name) = self.own_path(word).filter(|_| !is_to_be_created(&before)) {
                names.push(name);
            }
            before.push(word);
        }
        names
    }

    /// A script that the command on a line of a code block runs.
    fn names_in_code(&self, line: &str) -> Vec<String> {
        if self.is_about_skills || line.starts_with(['#', '/', '*', '<']) || is_tree(line) {
            return Vec::new();
        }
        let mut before = "";
        let mut names = Vec::new();
        for word in line
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '\'', '`', '(', ')', ';']))
        {
            let is_run = INTERPRETERS.contains(&before) || before.is_empty();
            if let Some(name) = self.own_path(word).filter(|_| is_run) {
                let is_of_the_skill = name
                    .split_once('/')
                    .is_some_and(|(folder, _)| folder == "scripts" || self.folders.contains(folder));
                if is_of_the_skill || self.without_own_folder(word).is_some() {
                    names.push(name);
                }
            }
            // Options of the interpreter come before the script.
            if !(word.starts_with('-') && INTERPRETERS.contains(&before)) {
                before = word;
            }
        }
        names
    }

    /// The path relative to the skill, if a word names a file of the skill.
    fn own_path(&self, word: &str) -> Option<String> {
        // Every form has a folder; most words of a text have none.
        if !word.contains('/') {
            return None;
        }
        let word = word.split(['#', '?']).next().unwrap_or(word);
        let own = self.without_own_folder(word);
        let path = own.unwrap_or(word);
        let path = path
            .strip_prefix("./")
            .unwrap_or(path)
            .trim_end_matches(['.', ',', ':', ';']);
        let (folder, _) = path.split_once('/').unwrap_or(("", path));
        let is_below_known =
            STANDARD_FOLDERS.contains(&folder) || (!folder.is_empty() && self.folders.contains(folder));
        let is_own_document = own.is_some() && has_extension(path, &["md", "py", "sh", "js", "mjs", "ts"]);
        let is_file = (is_below_known && extension(path).is_some()) || is_own_document;
        (is_file && !is_placeholder(path)).then(|| path.to_owned())
    }

    /// What follows the skill's own folder: `{baseDir}/`, `${SKILL_DIR}/`, `<skill-path>/`, `.../skills/<name>/`.
    fn without_own_folder<'w>(&self, word: &'w str) -> Option<&'w str> {
        if let Some((first, rest)) = word.split_once('/').filter(|(first, _)| is_variable(first)) {
            let variable = first.to_ascii_lowercase().replace(['-', '_'], "");
            let is_own = variable.contains("basedir")
                || ["skilldir", "skillpath", "skillroot", "skillfolder"]
                    .iter()
                    .any(|name| variable.contains(name));
            if is_own {
                return Some(rest);
            }
        }
        let (before, rest) = word.split_once(&self.own_folder)?;
        (before.is_empty() || before.ends_with('/')).then_some(rest)
    }
}

fn is_variable(segment: &str) -> bool {
    ["$", "{", "<", "%"]
        .iter()
        .any(|start| segment.starts_with(start))
}

/// Splits a line of text at blanks, backquotes, quotes and brackets around words.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '`' | '"'
                    | '\''
                    | '('
                    | ')'
                    | '|'
                    | ','
                    | ';'
                    | '“'
                    | '”'
                    | '，'
                    | '。'
                    | '、'
                    | '（'
                    | '）'
                    | '：'
            )
    })
    .map(|word| word.trim_matches(['*', '_', '[', ']']))
    .filter(|word| !word.is_empty())
}

/// Whether one of the four words before a path says that the file is yet to be created.
fn is_to_be_created(before: &[&str]) -> bool {
    before
        .iter()
        .rev()
        .take(4)
        .any(|word| CREATION_WORDS.contains(&&*word.trim_end_matches(':').to_ascii_lowercase()))
}

/// Whether a line draws a tree of files.
fn is_tree(line: &str) -> bool {
    line.contains(['├', '└', '│'])
}

/// The line without its links, and their targets. Links in backquotes are text.
fn without_links(line: &str) -> (String, Vec<&str>) {
    let mut targets = Vec::new();
    let mut text = String::new();
    for (at, part) in line.split('`').enumerate() {
        if at > 0 {
            text.push('`');
        }
        // Odd parts are in backquotes.
        if at % 2 == 1 {
            // A link in backquotes shows how to write links.
            text.push_str(if part.contains("](") { "" } else { part });
            continue;
        }
        let mut rest = part;
        while let Some((before, after)) = rest.split_once("](") {
            text.push_str(before);
            text.push(' ');
            let Some((target, after)) = after.split_once(')') else {
                rest = after;
                break;
            };
            targets.push(target);
            rest = after;
        }
        text.push_str(rest);
    }
    (text, targets)
}

/// The path of a relative link to a file.
fn link_target(target: &str) -> Option<String> {
    let target = target.trim();
    let target = match target.strip_prefix('<') {
        Some(target) => target.split('>').next()?,
        // A title may follow.
        None => target.split_whitespace().next()?,
    };
    let path = target.split(['#', '?']).next()?;
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let path = path.strip_prefix("./").unwrap_or(&path);
    let is_relative =
        !path.starts_with(['/', '~', '\\']) && !path.contains(':') && !path.starts_with("mailto");
    let is_file = extension(path).is_some() || path.contains('/');
    (is_relative && is_file && !is_placeholder(path)).then(|| path.to_owned())
}

/// The extension of a file's name: 1 to 8 letters and digits, with a letter.
fn extension(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (stem, extension) = name.rsplit_once('.')?;
    let is_extension = (1..=8).contains(&extension.len())
        && extension.chars().all(|c| c.is_ascii_alphanumeric())
        && extension.chars().any(|c| c.is_ascii_alphabetic());
    (is_extension && !stem.is_empty()).then_some(extension)
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    extension(path).is_some_and(|found| extensions.contains(&found))
}

/// Whether a path stands for others: `references/<topic>.md`, `scripts/your_script.py`.
fn is_placeholder(path: &str) -> bool {
    if path.contains(['*', '<', '>', '{', '}', '$', '[', ']', '…', '\\', '|', '=']) || path.contains("...")
    {
        return true;
    }
    path.split('/').any(|segment| {
        // Working files such as `.venv/bin/python`.
        if segment.starts_with('.') && !segment.starts_with("..") {
            return true;
        }
        let stem = segment.split('.').next().unwrap_or(segment).to_ascii_lowercase();
        let stem = stem.replace('_', "-");
        matches!(
            &*stem,
            "example"
                | "script-name"
                | "file"
                | "filename"
                | "file-name"
                | "name"
                | "script"
                | "foo"
                | "bar"
                | "xxx"
                | "path"
                | "url"
                | "link"
        ) || ["your-", "my-", "some-", "yyyy", "path-to"]
            .iter()
            .any(|start| stem.starts_with(start))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::read_document;

    fn missing(body: &str, files: &[&str]) -> Vec<String> {
        let text = format!("---\nname: tide-tables\ndescription: d\n---\n{body}");
        missing_files(
            &read_document(text.as_bytes(), "tide-tables").unwrap(),
            files.iter().copied(),
        )
    }

    #[test]
    fn files_that_are_named_and_lacking_are_found() {
        for (body, name) in [
            ("See [the guide](references/guide.md#top).", "references/guide.md"),
            ("See [the guide](<my guide.md> \"Title\").", "my guide.md"),
            ("See [the guide](the%20guide.md).", "the guide.md"),
            ("See [another](../other/SKILL.md).", "../other/SKILL.md"),
            ("![map](./assets/map.png)", "assets/map.png"),
            ("Run `scripts/run.py --all`.", "scripts/run.py"),
            ("Run `python3 scripts/run.py`.", "scripts/run.py"),
            ("Read references/guide.md, then go on.", "references/guide.md"),
            ("| `references/guide.md` | all |", "references/guide.md"),
            ("Read rules/two.md.", "rules/two.md"),
            ("Run `${SKILL_DIR}/scripts/run.py`", "scripts/run.py"),
            ("Read `{baseDir}/guide.md`", "guide.md"),
            ("Read `~/.claude/skills/tide-tables/guide.md`", "guide.md"),
            ("```sh\npython -u rules/run.py x\n```", "rules/run.py"),
            ("```sh\npython3 scripts/run.py x \\\n```", "scripts/run.py"),
            ("```sh\n./rules/run.sh\n```", "rules/run.sh"),
            (
                "```sh\nnode ${CLAUDE_SKILL_DIR}/scripts/run.mjs\n```",
                "scripts/run.mjs",
            ),
        ] {
            assert_eq!(missing(body, &["SKILL.md", "rules/one.md"]), [name], "{body}");
        }
    }

    #[test]
    fn what_is_no_file_of_the_skill_is_not_missing() {
        for body in [
            "See [the site](https://example.com/a.md), [mail](mailto:a@b.c), [top](#top), [root](/a.md).",
            "Write `[text](url)` or `[text](references/x.md)`.",
            "Open `src/main.rs` and templates/base.html.",
            "Create `references/guide.md`. Save it as assets/out.png.",
            "Put scripts in it, e.g. `scripts/rotate.py`.",
            "Read `references/<topic>.md`, `references/*.md`, `scripts/your_script.py`, references/example.md.",
            "```\nskill/\n├── scripts/run.py\n```",
            "```sh\npython tools/train.py\n```",
            "```sh\ntool --output rules/out.md\n# python rules/run.py\n```",
            "The ratio references/second is 1.5, see scripts/ and assets.",
            "Read [one](rules/one.md), `rules/one.md`, [rules](rules/), `one.md`.",
            "Run `cd sub && sh scripts/deep.sh`.",
        ] {
            let files = ["SKILL.md", "rules/one.md", "sub/scripts/deep.sh"];
            assert_eq!(missing(body, &files), Vec::<String>::new(), "{body}");
        }
    }

    #[test]
    fn skill_about_skills_names_examples() {
        let text =
            "---\nname: skill-creator\ndescription: d\n---\nUse `scripts/run.py`. See [a](references/a.md).";
        let document = read_document(text.as_bytes(), "skill-creator").unwrap();
        assert_eq!(missing_files(&document, ["SKILL.md"]), ["references/a.md"]);
    }

    #[test]
    fn number_of_names_is_limited() {
        let body: String = (0..1000).map(|n| format!("[a](a{n}.md)\n")).collect();
        assert_eq!(missing(&body, &[]).len(), MAX_NAMES);
    }

    proptest! {
        #[test]
        fn any_text_is_accepted(body in any::<String>()) {
            let _ = missing(&body, &["SKILL.md", "a/b.md"]);
        }

        #[test]
        fn text_of_markup_is_accepted(body in "[\\[\\]()`#/.<>$a-c %~\n-]{0,120}") {
            let _ = missing(&body, &["SKILL.md", "a/b.md"]);
        }
    }
}
