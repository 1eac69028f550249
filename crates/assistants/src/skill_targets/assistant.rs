//! The assistants of the table.

use std::fmt;
use std::str::FromStr;

use super::row::Row;
use super::table;

/// An assistant that loads Agent Skills. More than the assistants whose configuration file can be edited
/// ([`crate::Assistant`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SkillAssistant {
    /// No particular assistant: any that reads `.agents/skills`.
    Agents,
    ClaudeCode,
    ClaudeDesktop,
    Codex,
    Cursor,
    GeminiCli,
    Antigravity,
    Vscode,
    Goose,
    Opencode,
    Amp,
    Windsurf,
    Zed,
    Kiro,
    Droid,
    Junie,
}

/// The text names no assistant of the table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an assistant whose skills folders are known; use one of: {known}", known = known_names())]
pub struct UnknownSkillAssistant(pub String);

fn known_names() -> String {
    SkillAssistant::ALL.map(SkillAssistant::name).join(", ")
}

impl SkillAssistant {
    /// Every assistant, in the order of the enum.
    pub const ALL: [Self; 16] = [
        Self::Agents,
        Self::ClaudeCode,
        Self::ClaudeDesktop,
        Self::Codex,
        Self::Cursor,
        Self::GeminiCli,
        Self::Antigravity,
        Self::Vscode,
        Self::Goose,
        Self::Opencode,
        Self::Amp,
        Self::Windsurf,
        Self::Zed,
        Self::Kiro,
        Self::Droid,
        Self::Junie,
    ];

    /// The name on a command line, for example `claude-code`; at most 32 bytes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::ClaudeCode => "claude-code",
            Self::ClaudeDesktop => "claude-desktop",
            Self::Codex => "codex",
            Self::Cursor => "cursor",
            Self::GeminiCli => "gemini-cli",
            Self::Antigravity => "antigravity",
            Self::Vscode => "vscode",
            Self::Goose => "goose",
            Self::Opencode => "opencode",
            Self::Amp => "amp",
            Self::Windsurf => "windsurf",
            Self::Zed => "zed",
            Self::Kiro => "kiro",
            Self::Droid => "droid",
            Self::Junie => "junie",
        }
    }

    /// The product's name, for example `Claude Code`.
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// What is known of it.
    pub const fn row(self) -> &'static Row {
        match self {
            Self::Agents => &table::AGENTS,
            Self::ClaudeCode => &table::CLAUDE_CODE,
            Self::ClaudeDesktop => &table::CLAUDE_DESKTOP,
            Self::Codex => &table::CODEX,
            Self::Cursor => &table::CURSOR,
            Self::GeminiCli => &table::GEMINI_CLI,
            Self::Antigravity => &table::ANTIGRAVITY,
            Self::Vscode => &table::VSCODE,
            Self::Goose => &table::GOOSE,
            Self::Opencode => &table::OPENCODE,
            Self::Amp => &table::AMP,
            Self::Windsurf => &table::WINDSURF,
            Self::Zed => &table::ZED,
            Self::Kiro => &table::KIRO,
            Self::Droid => &table::DROID,
            Self::Junie => &table::JUNIE,
        }
    }
}

impl fmt::Display for SkillAssistant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SkillAssistant {
    type Err = UnknownSkillAssistant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|assistant| assistant.name() == text);
        known.ok_or_else(|| UnknownSkillAssistant(text.to_owned()))
    }
}
