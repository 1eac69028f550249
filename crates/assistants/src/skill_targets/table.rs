//! The rows. `tests/assistants/run` compares them with the programs.

use super::row::{
    AddedFolders, Checked, DescriptionLimit, EqualNames, How, Links, MovedFolder, Nesting, OverLimit, Row,
    SkillName,
};

/// Values for what is not known.
const UNKNOWN: Row = Row {
    title: "",
    project: &[],
    user: &[],
    reads_parents: false,
    admin_linux: &[],
    admin_macos: &[],
    moved: &[],
    added: &[],
    skill_name: SkillName::FrontMatter,
    equal_names: EqualNames::Unknown,
    nesting: Nesting::Unknown,
    links: Links::Unknown,
    description_limit: None,
    catalogue_limit: None,
    source: "",
    source_date: "",
    checked: None,
};

const XDG_CONFIG: MovedFolder = MovedFolder {
    variable: "XDG_CONFIG_HOME",
    replaces: "~/.config",
};

pub(super) const AGENTS: Row = Row {
    title: "Assistants that read .agents/skills",
    project: &[".agents/skills"],
    user: &["~/.agents/skills"],
    source: "agentskills.io, adding support for skills",
    source_date: "2026-08-09",
    ..UNKNOWN
};

pub(super) const CLAUDE_CODE: Row = Row {
    title: "Claude Code",
    project: &[".claude/skills"],
    user: &["~/.claude/skills"],
    reads_parents: true,
    admin_linux: &["/etc/claude-code/.claude/skills"],
    admin_macos: &["/Library/Application Support/ClaudeCode/.claude/skills"],
    moved: &[MovedFolder {
        variable: "CLAUDE_CONFIG_DIR",
        replaces: "~/.claude",
    }],
    skill_name: SkillName::Folder,
    equal_names: EqualNames::UserHidesProject,
    nesting: Nesting::OneLevel,
    links: Links::FollowedOnce,
    description_limit: Some(DescriptionLimit {
        chars: 1536,
        over: OverLimit::Cut,
    }),
    source: "code.claude.com/docs, skills",
    source_date: "2026-08-22",
    checked: Some(Checked {
        program: "Claude Code 2.1.332",
        date: "2026-11-26",
        how: How::Ran,
        what: "folders, parents, variable, order of equal names, links, nesting, name, cut of descriptions, \
               the administrator's folder on Linux",
    }),
    ..UNKNOWN
};

pub(super) const CLAUDE_DESKTOP: Row = Row {
    title: "Claude Desktop",
    source: "support.claude.com, skills",
    source_date: "2026-08",
    ..UNKNOWN
};

pub(super) const CODEX: Row = Row {
    title: "Codex",
    project: &[".agents/skills", ".codex/skills"],
    user: &["~/.agents/skills", "~/.codex/skills"],
    reads_parents: true,
    admin_linux: &["/etc/codex/skills"],
    admin_macos: &["/etc/codex/skills"],
    moved: &[MovedFolder {
        variable: "CODEX_HOME",
        replaces: "~/.codex",
    }],
    equal_names: EqualNames::AllShown,
    nesting: Nesting::Depth(6),
    links: Links::FollowedOnce,
    description_limit: Some(DescriptionLimit {
        chars: 1024,
        over: OverLimit::Cut,
    }),
    catalogue_limit: Some("2 % of the context, or 8,000 characters"),
    source: "openai/codex, source; learn.chatgpt.com/docs/build-skills",
    source_date: "2026-11",
    checked: Some(Checked {
        program: "Codex 0.171.0",
        date: "2026-11-26",
        how: How::Ran,
        what: "folders, parents, variable, equal names, links, nesting, name, cut of descriptions, \
               the administrator's folder on Linux",
    }),
    ..UNKNOWN
};

pub(super) const CURSOR: Row = Row {
    title: "Cursor",
    project: &[
        ".agents/skills",
        ".cursor/skills",
        ".claude/skills",
        ".codex/skills",
    ],
    user: &[
        "~/.agents/skills",
        "~/.cursor/skills",
        "~/.claude/skills",
        "~/.codex/skills",
    ],
    skill_name: SkillName::FrontMatterAndFolder,
    equal_names: EqualNames::AllShown,
    nesting: Nesting::Recursive,
    source: "cursor.com/docs, skills; Chemaclass/agnostic-ai#957 (duplicates)",
    source_date: "2026-09-20",
    ..UNKNOWN
};

pub(super) const GEMINI_CLI: Row = Row {
    title: "Gemini CLI",
    project: &[".agents/skills", ".gemini/skills"],
    user: &["~/.agents/skills", "~/.gemini/skills"],
    equal_names: EqualNames::ProjectHidesUser,
    nesting: Nesting::OneLevel,
    links: Links::FollowedOnce,
    moved: &[MovedFolder {
        variable: "GEMINI_CLI_HOME",
        replaces: "~",
    }],
    source: "google-gemini/gemini-cli, source",
    source_date: "2026-08-21",
    checked: Some(Checked {
        program: "Gemini CLI 0.61.0",
        date: "2026-11-26",
        how: How::Ran,
        what: "folders, parents, variable, order of equal names, links, nesting, name",
    }),
    ..UNKNOWN
};

pub(super) const ANTIGRAVITY: Row = Row {
    title: "Antigravity",
    project: &[".agents/skills"],
    user: &["~/.gemini/antigravity/skills", "~/.gemini/antigravity-cli/skills"],
    source: "package skills 1.7.4 on npm",
    source_date: "2026-10-19",
    ..UNKNOWN
};

pub(super) const VSCODE: Row = Row {
    title: "VS Code",
    project: &[".github/skills", ".claude/skills", ".agents/skills"],
    user: &["~/.copilot/skills", "~/.claude/skills", "~/.agents/skills"],
    added: &[AddedFolders {
        variable: "COPILOT_SKILLS_DIRS",
        separator: Some(','),
        below: "",
    }],
    skill_name: SkillName::FrontMatterAndFolder,
    equal_names: EqualNames::ProjectHidesUser,
    source: "microsoft/vscode-docs, agent skills",
    source_date: "2026-05-28",
    checked: Some(Checked {
        program: "Copilot CLI 1.0.102",
        date: "2026-11-26",
        how: How::Ran,
        what: "folders, variable, order of equal names. It does not read ~/.claude/skills and accepts any folder name. VS Code \
               itself was not started; its stored source uses the first of equal names too",
    }),
    ..UNKNOWN
};

pub(super) const GOOSE: Row = Row {
    title: "Goose",
    project: &[".agents/skills", ".goose/skills", ".claude/skills"],
    user: &["~/.agents/skills", "~/.config/goose/skills", "~/.claude/skills"],
    moved: &[XDG_CONFIG],
    source: "aaif-goose/goose, documentation",
    source_date: "2026",
    ..UNKNOWN
};

pub(super) const OPENCODE: Row = Row {
    title: "OpenCode",
    project: &[".opencode/skills", ".agents/skills", ".claude/skills"],
    user: &[
        "~/.config/opencode/skills",
        "~/.agents/skills",
        "~/.claude/skills",
    ],
    moved: &[XDG_CONFIG],
    added: &[AddedFolders {
        variable: "OPENCODE_CONFIG_DIR",
        separator: None,
        below: "skills",
    }],
    equal_names: EqualNames::Undetermined,
    links: Links::FollowedOnce,
    nesting: Nesting::Recursive,
    reads_parents: true,
    source: "anomalyco/opencode, documentation and source",
    source_date: "2026-11",
    checked: Some(Checked {
        program: "OpenCode 1.18.33",
        date: "2026-11-26",
        how: How::Ran,
        what: "folders, parents, variables, equal names, links, nesting. Any folder name and \
               descriptions of 4,000 characters are accepted",
    }),
    ..UNKNOWN
};

pub(super) const AMP: Row = Row {
    title: "Amp",
    project: &[".agents/skills", ".claude/skills"],
    user: &["~/.config/agents/skills", "~/.claude/skills"],
    source: "package skills 1.7.4 on npm; crate agent-config 0.3.3",
    source_date: "2026-10-19",
    ..UNKNOWN
};

pub(super) const WINDSURF: Row = Row {
    title: "Windsurf",
    project: &[".windsurf/skills", ".agents/skills"],
    user: &["~/.codeium/windsurf/skills", "~/.agents/skills"],
    source: "package skills 1.7.4 on npm; microsoft/apm#1520, which quotes its documentation",
    source_date: "2026-10-19",
    ..UNKNOWN
};

pub(super) const ZED: Row = Row {
    title: "Zed",
    project: &[".agents/skills"],
    user: &["~/.agents/skills"],
    skill_name: SkillName::FrontMatterAndFolder,
    equal_names: EqualNames::ProjectHidesUser,
    nesting: Nesting::OneLevel,
    links: Links::Followed,
    catalogue_limit: Some("50 KB"),
    source: "zed.dev/docs, skills",
    source_date: "2026",
    ..UNKNOWN
};

pub(super) const KIRO: Row = Row {
    title: "Kiro",
    project: &[".kiro/skills"],
    user: &["~/.kiro/skills"],
    source: "package skills 1.7.4 on npm; crate agent-config 0.3.3",
    source_date: "2026-10-19",
    ..UNKNOWN
};

pub(super) const DROID: Row = Row {
    title: "Factory Droid",
    project: &[".factory/skills", ".agents/skills", ".agent/skills"],
    user: &["~/.factory/skills", "~/.agents/skills", "~/.agent/skills"],
    nesting: Nesting::Recursive,
    links: Links::Followed,
    moved: &[MovedFolder {
        variable: "FACTORY_HOME_OVERRIDE",
        replaces: "~",
    }],
    source: "package skills 1.7.4 on npm; crate agent-config 0.3.3",
    source_date: "2026-10-19",
    checked: Some(Checked {
        program: "Factory Droid 0.225.2",
        date: "2026-11-26",
        how: How::ReadCode,
        what: "folders, variable, links, nesting",
    }),
    ..UNKNOWN
};

pub(super) const JUNIE: Row = Row {
    title: "Junie",
    project: &[".junie/skills", ".agents/skills"],
    user: &["~/.junie/skills"],
    source: "package skills 1.7.4 on npm; jetbrains.com/help/junie",
    source_date: "2026-10-19",
    ..UNKNOWN
};
