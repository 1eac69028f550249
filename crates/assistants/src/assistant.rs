//! The known assistants: where each keeps its list of MCP servers, and what it supports.
//!
//! Sources, as of November 2026:
//! - Claude Code: <https://code.claude.com/docs/en/mcp> (scopes; `${VAR}` in `command`, `args`, `env`, `url`, `headers`).
//! - Claude Desktop: <https://modelcontextprotocol.io/docs/develop/connect-local-servers> (stdio only, no references).
//! - Cursor: <https://cursor.com/docs/context/mcp> (`${env:VAR}`; a `url` is tried as Streamable HTTP, then as HTTP+SSE).
//! - VS Code: <https://code.visualstudio.com/docs/copilot/reference/mcp-configuration> (`servers`, `inputs`).
//! - Codex: <https://developers.openai.com/codex/mcp> (`env_vars`, `bearer_token_env_var`; no HTTP+SSE).
//! - Gemini CLI: <https://geminicli.com/docs/tools/mcp-server> (`httpUrl`, `url` for HTTP+SSE, `$VAR`).
//! - Goose: <https://block.github.io/goose/docs/guides/config-files> (`extensions`, `env_keys`, `streamable_http`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::config_dirs::ConfigDirs;
use crate::config_format::ConfigFormat;

/// An assistant whose configuration file can be edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assistant {
    ClaudeCode,
    ClaudeDesktop,
    Cursor,
    Vscode,
    Codex,
    Gemini,
    Goose,
}

/// A transport of MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The assistant starts a program and talks to it over stdin and stdout.
    Stdio,
    StreamableHttp,
    /// The HTTP+SSE transport of protocol version 2024-11-05.
    HttpSse,
}

/// What the user has to do before the assistant can use a new entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Start the assistant with the server's secrets in its environment.
    SetEnvironment,
    /// Start the server; the assistant then asks for the secrets.
    AnswerPrompt,
    /// Restart the assistant.
    Restart,
}

/// The text names no known assistant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown assistant")]
pub struct UnknownAssistant;

impl Assistant {
    /// Every assistant, in the order of the enum.
    pub const ALL: [Self; 7] = [
        Self::ClaudeCode,
        Self::ClaudeDesktop,
        Self::Cursor,
        Self::Vscode,
        Self::Codex,
        Self::Gemini,
        Self::Goose,
    ];

    /// The name on a command line, for example `claude-code`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::ClaudeDesktop => "claude-desktop",
            Self::Cursor => "cursor",
            Self::Vscode => "vscode",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Goose => "goose",
        }
    }

    /// The product's name, for example `Claude Code`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::ClaudeDesktop => "Claude Desktop",
            Self::Cursor => "Cursor",
            Self::Vscode => "VS Code",
            Self::Codex => "Codex",
            Self::Gemini => "Gemini CLI",
            Self::Goose => "Goose",
        }
    }

    /// The format of its configuration file.
    pub const fn format(self) -> ConfigFormat {
        match self {
            Self::ClaudeCode | Self::ClaudeDesktop | Self::Cursor | Self::Vscode | Self::Gemini => {
                ConfigFormat::Jsonc
            }
            Self::Codex => ConfigFormat::Toml,
            Self::Goose => ConfigFormat::Yaml,
        }
    }

    /// The top-level field of its configuration file that maps names to MCP servers.
    pub const fn section(self) -> &'static str {
        match self {
            Self::ClaudeCode | Self::ClaudeDesktop | Self::Cursor | Self::Gemini => "mcpServers",
            Self::Vscode => "servers",
            Self::Codex => "mcp_servers",
            Self::Goose => "extensions",
        }
    }

    /// The user's configuration file.
    pub fn user_file(self, dirs: &ConfigDirs) -> PathBuf {
        match self {
            Self::ClaudeCode => dirs.claude.as_ref().unwrap_or(&dirs.home).join(".claude.json"),
            Self::ClaudeDesktop => dirs.applications().join("Claude/claude_desktop_config.json"),
            Self::Cursor => dirs.home.join(".cursor/mcp.json"),
            Self::Vscode => dirs.applications().join("Code/User/mcp.json"),
            Self::Codex => match &dirs.codex {
                Some(folder) => folder.join("config.toml"),
                None => dirs.home.join(".codex/config.toml"),
            },
            Self::Gemini => dirs.home.join(".gemini/settings.json"),
            Self::Goose => dirs.config.join("goose/config.yaml"),
        }
    }

    /// The configuration file of a project; `None` if the assistant has none.
    pub fn project_file(self, project: &Path) -> Option<PathBuf> {
        match self {
            Self::ClaudeCode => Some(project.join(".mcp.json")),
            Self::Cursor => Some(project.join(".cursor/mcp.json")),
            Self::Vscode => Some(project.join(".vscode/mcp.json")),
            Self::Codex => Some(project.join(".codex/config.toml")),
            Self::Gemini => Some(project.join(".gemini/settings.json")),
            Self::ClaudeDesktop | Self::Goose => None,
        }
    }

    pub const fn supports(self, transport: Transport) -> bool {
        match transport {
            Transport::Stdio => true,
            Transport::StreamableHttp => !matches!(self, Self::ClaudeDesktop),
            Transport::HttpSse => match self {
                Self::ClaudeCode | Self::Cursor | Self::Vscode | Self::Gemini => true,
                Self::ClaudeDesktop | Self::Codex | Self::Goose => false,
            },
        }
    }

    /// Whether its file can refer to a secret, so that the secret itself is not written to the file.
    pub const fn supports_secret_references(self) -> bool {
        !matches!(self, Self::ClaudeDesktop)
    }

    pub const fn next_step(self) -> NextStep {
        match self {
            Self::Vscode => NextStep::AnswerPrompt,
            Self::ClaudeDesktop => NextStep::Restart,
            Self::ClaudeCode | Self::Cursor | Self::Codex | Self::Gemini | Self::Goose => {
                NextStep::SetEnvironment
            }
        }
    }
}

impl fmt::Display for Assistant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Assistant {
    type Err = UnknownAssistant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|assistant| assistant.name() == text);
        known.ok_or(UnknownAssistant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_assistant_is_parsed_from_its_name() {
        for assistant in Assistant::ALL {
            assert_eq!(assistant.to_string().parse(), Ok(assistant));
        }
        assert_eq!("emacs".parse::<Assistant>(), Err(UnknownAssistant));
    }
}
