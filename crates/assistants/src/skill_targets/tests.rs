use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::SkillAssistant as A;
use super::*;

fn no_variable(_: &str) -> Option<OsString> {
    None
}

fn dirs<'a>(variable: &'a dyn Fn(&str) -> Option<OsString>) -> Dirs<'a> {
    Dirs {
        home: Path::new("/home/eva"),
        project: Some(Path::new("/src/shop")),
        variable,
    }
}

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(PathBuf::from).collect()
}

fn found(folder: &str, name: &str) -> Found {
    Found {
        folder: folder.into(),
        name: name.to_owned(),
        real_path: None,
    }
}

fn written(folders: &[(A, SkillsFolder)]) -> Vec<(A, &'static str)> {
    folders
        .iter()
        .map(|(assistant, folder)| (*assistant, folder.written()))
        .collect()
}

#[test]
fn every_assistant_is_parsed_from_its_name() {
    for assistant in A::ALL {
        assert_eq!(assistant.to_string().parse(), Ok(assistant));
        assert!(assistant.name().len() <= 32, "{assistant}");
    }
    let error = "emacs".parse::<A>().unwrap_err().to_string();
    assert!(
        error.contains("\"emacs\"") && error.contains("claude-code, claude-desktop"),
        "{error}"
    );
}

#[test]
fn every_row_is_complete() {
    let mut titles = HashSet::new();
    for assistant in A::ALL {
        let row = assistant.row();
        assert!(titles.insert(row.title) && !row.title.is_empty(), "{assistant}");
        assert!(
            !row.source.is_empty() && row.source_date.starts_with("2026"),
            "{assistant}"
        );
        assert_eq!(row.project.is_empty(), assistant == A::ClaudeDesktop);
        assert_eq!(row.project.is_empty(), row.user.is_empty());
        for folder in row.project {
            assert!(
                folder.ends_with("/skills") && !folder.starts_with(['~', '/']),
                "{folder}"
            );
        }
        for folder in row.user {
            assert!(
                folder.ends_with("/skills") && folder.starts_with("~/"),
                "{folder}"
            );
        }
        for folder in row.admin_linux.iter().chain(row.admin_macos) {
            assert!(folder.starts_with('/') && folder.ends_with("skills"), "{folder}");
        }
        for moved in row.moved {
            assert!(
                row.user.iter().any(|folder| folder.starts_with(moved.replaces)),
                "{assistant}"
            );
        }
    }
}

#[test]
fn skill_is_installed_to_the_shared_folder_where_it_is_read() {
    let folder = |assistant, level| install_folder(assistant, level).map(SkillsFolder::written);
    assert_eq!(folder(A::Cursor, Level::Project), Some(".agents/skills"));
    assert_eq!(folder(A::Amp, Level::Project), Some(".agents/skills"));
    assert_eq!(folder(A::Amp, Level::User), Some("~/.config/agents/skills"));
    assert_eq!(
        folder(A::Antigravity, Level::User),
        Some("~/.gemini/antigravity/skills")
    );
    assert_eq!(folder(A::ClaudeCode, Level::User), Some("~/.claude/skills"));
    assert_eq!(folder(A::Kiro, Level::Project), Some(".kiro/skills"));
    assert_eq!(folder(A::ClaudeDesktop, Level::User), None);
}

#[test]
fn one_copy_serves_all_that_read_the_shared_folder() {
    let targets = targets_for(&A::ALL, Level::Project);
    assert_eq!(targets.copy.unwrap().written(), SHARED_PROJECT);
    assert_eq!(written(&targets.links), [(A::ClaudeCode, ".claude/skills")]);
    assert_eq!(written(&targets.copies), [(A::Kiro, ".kiro/skills")]);
    assert_eq!(targets.without_folder, [A::ClaudeDesktop]);

    let targets = targets_for(&A::ALL, Level::User);
    assert_eq!(targets.copy.unwrap().written(), SHARED_USER);
    assert_eq!(written(&targets.links), [(A::ClaudeCode, "~/.claude/skills")]);
    let copies = [
        (A::Antigravity, "~/.gemini/antigravity/skills"),
        (A::Amp, "~/.config/agents/skills"),
        (A::Kiro, "~/.kiro/skills"),
        (A::Junie, "~/.junie/skills"),
    ];
    assert_eq!(written(&targets.copies), copies);
}

#[test]
fn single_assistant_needs_no_second_folder() {
    let targets = targets_for(&[A::ClaudeCode, A::ClaudeCode], Level::User);
    assert_eq!(targets.copy.unwrap().written(), "~/.claude/skills");
    assert!(targets.links.is_empty() && targets.copies.is_empty());

    let targets = targets_for(&[A::ClaudeCode, A::Kiro], Level::User);
    assert_eq!(targets.copy.unwrap().written(), SHARED_USER);

    assert_eq!(targets_for(&[], Level::User), Targets::default());
    let targets = targets_for(&[A::ClaudeDesktop], Level::User);
    assert_eq!(
        (targets.copy, targets.without_folder),
        (None, vec![A::ClaudeDesktop])
    );
}

#[test]
fn variables_move_and_add_folders() {
    let variable = |name: &str| match name {
        "CLAUDE_CONFIG_DIR" => Some("/etc/eva/claude".into()),
        "CODEX_HOME" => Some("relative/codex".into()),
        "COPILOT_SKILLS_DIRS" => Some("/one/skills, /two/skills,relative,,/one/skills".into()),
        "OPENCODE_CONFIG_DIR" => Some("/three".into()),
        "GEMINI_CLI_HOME" => Some("/other".into()),
        "XDG_CONFIG_HOME" => Some("".into()),
        _ => None,
    };
    let dirs = dirs(&variable);
    let user = |assistant| folders_read(assistant, Level::User, &dirs);
    assert_eq!(user(A::ClaudeCode), paths(&["/etc/eva/claude/skills"]));
    assert_eq!(
        user(A::Codex),
        paths(&["/home/eva/.agents/skills", "/home/eva/.codex/skills"])
    );
    assert!(user(A::Vscode).ends_with(&paths(&["/one/skills", "/two/skills"])));
    assert_eq!(
        user(A::GeminiCli),
        paths(&["/other/.agents/skills", "/other/.gemini/skills"])
    );
    assert!(user(A::Opencode).starts_with(&paths(&["/home/eva/.config/opencode/skills"])));
    assert!(user(A::Opencode).ends_with(&paths(&["/three/skills"])));
}

#[test]
fn project_folders_need_a_project() {
    let without = Dirs {
        project: None,
        ..dirs(&no_variable)
    };
    assert!(folders_read(A::Zed, Level::Project, &without).is_empty());
    assert_eq!(
        folders_read(A::Zed, Level::Project, &dirs(&no_variable)),
        paths(&["/src/shop/.agents/skills"])
    );
    assert_eq!(admin_folders(A::Codex, Os::Linux), paths(&["/etc/codex/skills"]));
    assert!(admin_folders(A::Zed, Os::Macos).is_empty());
}

#[test]
fn precedence_hides_a_copy() {
    let dirs = dirs(&no_variable);
    let claude = [
        found("/src/shop/.claude/skills", "pdf"),
        found("/home/eva/.claude/skills", "pdf"),
        found("/etc/claude-code/.claude/skills", "pdf"),
        found("/home/eva/.claude/skills", "csv"),
        found("/home/eva/.agents/skills", "csv"),
    ];
    let hidden = shadowed(A::ClaudeCode, &claude, &dirs, Os::Linux);
    let hidden_folders: Vec<&Path> = hidden.iter().map(|copy| copy.hidden.as_path()).collect();
    assert_eq!(
        hidden_folders,
        [
            Path::new("/home/eva/.claude/skills"),
            Path::new("/src/shop/.claude/skills")
        ]
    );
    assert!(
        hidden
            .iter()
            .all(|copy| copy.used == Path::new("/etc/claude-code/.claude/skills"))
    );
    assert_eq!(
        hidden[1].sentence,
        "Claude Code does not use the skill \"pdf\" in /src/shop/.claude/skills: the one in /etc/claude-code/.claude/skills \
         precedes it."
    );
    assert!(seen_twice(A::ClaudeCode, &claude, &dirs, Os::Linux).is_empty());

    for assistant in [A::GeminiCli, A::Zed] {
        let copies = [
            found("/home/eva/.agents/skills", "pdf"),
            found("/src/shop/.agents/skills", "pdf"),
        ];
        let hidden = shadowed(assistant, &copies, &dirs, Os::Linux);
        assert_eq!(hidden.len(), 1, "{assistant}");
        assert_eq!(
            hidden[0].hidden,
            Path::new("/home/eva/.agents/skills"),
            "{assistant}"
        );
    }
}

#[test]
fn copies_in_two_folders_are_seen_twice() {
    let dirs = dirs(&no_variable);
    let copies = [
        found("/src/shop/.agents/skills", "pdf"),
        found("/home/eva/.claude/skills", "pdf"),
        found("/home/eva/.agents/skills", "pdf-fill"),
    ];
    let seen = seen_twice(A::Cursor, &copies, &dirs, Os::Linux);
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].sentence,
        "Cursor lists each of the 2 skills \"pdf\" in /src/shop/.agents/skills and /home/eva/.claude/skills: remove all but one."
    );
    let seen = seen_twice(A::Opencode, &copies, &dirs, Os::Linux);
    assert!(
        seen[0]
            .sentence
            .starts_with("OpenCode uses any one of the 2 skills \"pdf\"")
    );
    assert!(shadowed(A::Opencode, &copies, &dirs, Os::Linux).is_empty());
    // Codex does not read `.claude`, and nothing is said of an assistant whose behaviour is not known.
    assert!(seen_twice(A::Codex, &copies, &dirs, Os::Linux).is_empty());
    assert!(seen_twice(A::Goose, &copies, &dirs, Os::Linux).is_empty());
    assert!(shadowed(A::Goose, &copies, &dirs, Os::Linux).is_empty());
}

#[test]
fn link_to_the_same_folder_is_one_skill_for_some() {
    let dirs = dirs(&no_variable);
    let linked = |folder: &str| Found {
        real_path: Some("/src/shop/.agents/skills/pdf".into()),
        ..found(folder, "pdf")
    };
    let both = [
        linked("/src/shop/.agents/skills"),
        linked("/src/shop/.claude/skills"),
    ];
    assert!(seen_twice(A::Opencode, &both, &dirs, Os::Linux).is_empty());
    assert!(shadowed(A::Vscode, &both, &dirs, Os::Linux).is_empty());
    // Whether Cursor counts the link is not known, so that the user is told.
    assert_eq!(seen_twice(A::Cursor, &both, &dirs, Os::Linux).len(), 1);
}

fn note_text(assistant: A, name: &str, description: &str) -> String {
    let skill = WrittenSkill {
        slug: "acme-pdf",
        name,
        description,
    };
    notes(assistant, &skill).join("\n")
}

#[test]
fn too_long_description_is_noted() {
    let long = "a".repeat(1100);
    assert_eq!(
        note_text(A::Codex, "acme-pdf", &long),
        "Codex shows its model the first 1,024 characters of a description; this one has 1100."
    );
    assert_eq!(note_text(A::Codex, "acme-pdf", &"ä".repeat(1024)), "");
    assert_eq!(note_text(A::ClaudeCode, "acme-pdf", &long), "");
    assert_eq!(
        note_text(A::ClaudeCode, "acme-pdf", &"a".repeat(1600)),
        "Claude Code shows its model the first 1,536 characters of a description; this one has 1600."
    );
    assert_eq!(note_text(A::GeminiCli, "acme-pdf", &long), "");
}

#[test]
fn other_name_in_front_matter_is_noted() {
    assert!(
        note_text(A::Vscode, "pdf", "").contains("VS Code loads only a skill whose folder has that name")
    );
    assert_eq!(
        note_text(A::ClaudeCode, "pdf", ""),
        "The folder has the slug \"acme-pdf\"; SKILL.md says `name: pdf`."
    );
    assert_eq!(note_text(A::Vscode, "acme-pdf", ""), "");
    assert!(note_text(A::ClaudeDesktop, "acme-pdf", "").starts_with("Claude Desktop has no skills folder"));
}

proptest! {
    /// Every chosen assistant with a skills folder reads one of the folders that get the skill.
    #[test]
    fn every_chosen_assistant_is_served(chosen in prop::collection::vec(0..A::ALL.len(), 0..8), user in any::<bool>()) {
        let level = if user { Level::User } else { Level::Project };
        let chosen: Vec<A> = chosen.into_iter().map(|index| A::ALL[index]).collect();
        let targets = targets_for(&chosen, level);
        let more = targets.links.iter().chain(&targets.copies).map(|(_, folder)| *folder);
        let served: Vec<&str> = targets.copy.into_iter().chain(more).map(SkillsFolder::written).collect();
        prop_assert_eq!(served.iter().collect::<HashSet<_>>().len(), served.len());
        for assistant in chosen {
            let is_served = assistant.folders(level).any(|folder| served.contains(&folder.written()));
            prop_assert_eq!(is_served, !targets.without_folder.contains(&assistant));
        }
    }

    /// A variable never makes a relative path, which would depend on where the assistant is started.
    #[test]
    fn folders_are_absolute(value in ".{0,40}", index in 0..A::ALL.len()) {
        let variable = |_: &str| Some(OsString::from(&value));
        for level in Level::ALL {
            let folders = folders_read(A::ALL[index], level, &dirs(&variable));
            prop_assert!(folders.iter().all(|folder| folder.is_absolute()));
        }
    }
}
