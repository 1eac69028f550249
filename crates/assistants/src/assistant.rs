//! The assistants that `connect` knows: where each keeps its servers, in which words, and how it names a secret.
//!
//! Every fact is from the client's own documentation, as of November 2026:
//! - Claude Code: <https://code.claude.com/docs/en/mcp> (scopes; `${VAR}` in `command`, `args`, `env`, `url`, `headers`).
//! - Claude Desktop: <https://modelcontextprotocol.io/docs/develop/connect-local-servers> (programs only, no references).
//! - Cursor: <https://cursor.com/docs/context/mcp> (`${env:VAR}`; a `url` is tried as Streamable HTTP, then as HTTP+SSE).
//! - VS Code: <https://code.visualstudio.com/docs/copilot/reference/mcp-configuration> (`servers`, `inputs`).
//! - Codex: <https://developers.openai.com/codex/mcp> (`env_vars`, `bearer_token_env_var`; no HTTP+SSE).
//! - Gemini CLI: <https://geminicli.com/docs/tools/mcp-server> (`httpUrl`, `url` for HTTP+SSE, `$VAR`).
//! - Goose: <https://block.github.io/goose/docs/guides/config-files> (`extensions`, `env_keys`, `streamable_http`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::config_edit::ConfigFormat;

/// An assistant whose configuration `connect` can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Assistant {
    ClaudeCode,
    ClaudeDesktop,
    Cursor,
    Vscode,
    Codex,
    Gemini,
    Goose,
}

/// How the client is to reach the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ConnectVia {
    /// The client starts `skillkeep stdio`, which opens the database itself.
    Stdio,
    /// The client starts `skillkeep bridge`, which speaks to a registry far away.
    Bridge,
    /// The client itself speaks Streamable HTTP.
    Http,
    /// The client itself speaks HTTP+SSE, the transport of revision 2024-11-05.
    Sse,
}

/// The folders of the person who runs the command.
#[derive(Debug)]
pub struct ConfigDirs {
    pub home: PathBuf,
    /// `XDG_CONFIG_HOME`, or `.config` in the home folder.
    pub config: PathBuf,
    pub claude: Option<PathBuf>,
    pub codex: Option<PathBuf>,
}

impl ConfigDirs {
    /// From these variables; nothing without a home folder.
    pub fn from(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let folder = |name: &str| variable(name).filter(|text| !text.is_empty()).map(PathBuf::from);
        let home = folder("HOME")?;
        // The XDG Base Directory Specification: a relative path is to be ignored.
        let config = folder("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        Some(Self {
            config: config.unwrap_or_else(|| home.join(".config")),
            claude: folder("CLAUDE_CONFIG_DIR"),
            codex: folder("CODEX_HOME"),
            home,
        })
    }

    /// Where applications with a window keep their settings.
    fn applications(&self) -> PathBuf {
        if cfg!(target_os = "macos") {
            self.home.join("Library/Application Support")
        } else {
            self.config.clone()
        }
    }
}

impl Assistant {
    /// The name that its users know.
    pub fn title(self) -> &'static str {
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

    /// The language of its file.
    pub fn format(self) -> ConfigFormat {
        match self {
            Self::ClaudeCode | Self::ClaudeDesktop | Self::Cursor | Self::Vscode | Self::Gemini => {
                ConfigFormat::Jsonc
            }
            Self::Codex => ConfigFormat::Toml,
            Self::Goose => ConfigFormat::Yaml,
        }
    }

    /// The map of its file that holds the servers.
    pub fn section(self) -> &'static str {
        match self {
            Self::ClaudeCode | Self::ClaudeDesktop | Self::Cursor | Self::Gemini => "mcpServers",
            Self::Vscode => "servers",
            Self::Codex => "mcp_servers",
            Self::Goose => "extensions",
        }
    }

    /// The file of this person.
    pub fn user_file(self, places: &ConfigDirs) -> PathBuf {
        match self {
            Self::ClaudeCode => places
                .claude
                .as_ref()
                .unwrap_or(&places.home)
                .join(".claude.json"),
            Self::ClaudeDesktop => places.applications().join("Claude/claude_desktop_config.json"),
            Self::Cursor => places.home.join(".cursor/mcp.json"),
            Self::Vscode => places.applications().join("Code/User/mcp.json"),
            Self::Codex => match &places.codex {
                Some(folder) => folder.join("config.toml"),
                None => places.home.join(".codex/config.toml"),
            },
            Self::Gemini => places.home.join(".gemini/settings.json"),
            Self::Goose => places.config.join("goose/config.yaml"),
        }
    }

    /// The file of a project, for the clients that have one.
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

    /// Whether it can reach a registry in this way.
    pub fn speaks(self, transport: ConnectVia) -> bool {
        match transport {
            ConnectVia::Stdio | ConnectVia::Bridge => true,
            ConnectVia::Http => self != Self::ClaudeDesktop,
            ConnectVia::Sse => match self {
                Self::ClaudeCode | Self::Cursor | Self::Vscode | Self::Gemini => true,
                Self::ClaudeDesktop | Self::Codex | Self::Goose => false,
            },
        }
    }

    /// Whether its file can name a variable of the environment, so that no key has to lie in it.
    pub fn keeps_secrets_out(self) -> bool {
        self != Self::ClaudeDesktop
    }

    /// What the person still has to do before the client finds the key.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::Vscode => "VS Code asks for the key when it first starts the server.",
            Self::ClaudeDesktop => "Quit Claude Desktop and start it again.",
            Self::ClaudeCode | Self::Cursor | Self::Codex | Self::Gemini | Self::Goose => {
                "Start it with SKILLKEEP_API_KEY in its environment."
            }
        }
    }
}
