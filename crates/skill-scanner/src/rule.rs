//! Rules as data. `rules/*.toml` holds them; their format is described in docs/scanner.md.

use serde::{Deserialize, Serialize};

use crate::severity::Severity;

/// The kind of attack or risk that a rule looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Text that takes the place of the user's or the system's instructions.
    PromptInjection,
    /// Text that tells the assistant not to refuse, warn or ask.
    RefusalSuppression,
    /// Text that a person does not see and a model reads.
    HiddenText,
    /// Content that the assistant's program runs without the model: hooks, `` !`command` `` lines, MCP servers.
    HostRun,
    /// Permissions that the skill grants itself.
    ToolGrant,
    /// Data sent to another host.
    Exfiltration,
    /// Reads of credentials on the user's machine.
    CredentialAccess,
    /// Secrets in the skill's own files.
    Secret,
    /// Changes that outlive the session.
    Persistence,
    /// Content that is encoded so that it cannot be read.
    Obfuscation,
    /// Instructions to install something from a place that is not the vendor's.
    FakePrerequisite,
    /// Writes to the files that steer later sessions.
    MemoryFile,
    /// Names and descriptions that attract calls meant for something else.
    Squatting,
    /// Compiled programs.
    Binary,
    /// Archives, whose content is not scanned.
    Archive,
    /// Commands that damage the machine or open it to others.
    HarmfulCommand,
    /// What the scanner could not read.
    Coverage,
}

impl Family {
    /// The name as in JSON, for example `prompt_injection`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PromptInjection => "prompt_injection",
            Self::RefusalSuppression => "refusal_suppression",
            Self::HiddenText => "hidden_text",
            Self::HostRun => "host_run",
            Self::ToolGrant => "tool_grant",
            Self::Exfiltration => "exfiltration",
            Self::CredentialAccess => "credential_access",
            Self::Secret => "secret",
            Self::Persistence => "persistence",
            Self::Obfuscation => "obfuscation",
            Self::FakePrerequisite => "fake_prerequisite",
            Self::MemoryFile => "memory_file",
            Self::Squatting => "squatting",
            Self::Binary => "binary",
            Self::Archive => "archive",
            Self::HarmfulCommand => "harmful_command",
            Self::Coverage => "coverage",
        }
    }
}

/// A file that a rule finds, or does not find. Inert: hosts are reserved names, secrets are invented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Path in the skill's folder.
    #[serde(default = "skill_md")]
    pub path: String,
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub is_executable: bool,
}

fn skill_md() -> String {
    "SKILL.md".to_owned()
}

/// A rule of the scanner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rule {
    /// Lowercase words with hyphens. Never reused for another meaning.
    pub id: String,
    pub family: Family,
    /// What the rule finds, in a few words.
    pub title: String,
    /// The highest severity of a finding. It is lowered where the text only describes an attack.
    pub severity: Severity,
    /// Why a match is a finding.
    pub reason: String,
    /// What the author or reviewer can do.
    pub advice: String,
    /// A file in which the rule finds something.
    pub positive: Example,
    /// A similar file in which it finds nothing.
    pub negative: Example,
}
