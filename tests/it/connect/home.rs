//! A home folder with the configuration files of assistants.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use skillkeep::ids::TenantId;
use skillkeep::tenancy::ApiKey;
use tempfile::TempDir;

use crate::command::{CommandOutput, program};

/// A well-formed key that no registry knows.
pub(super) static KEY: LazyLock<String> = LazyLock::new(|| {
    let key = ApiKey::generate(TenantId::new(), &mut rand::rng());
    key.reveal().to_owned()
});

/// Every assistant with its configuration file and a user's content of it.
pub(super) const ASSISTANTS: [(&str, &str, &str); 7] = [
    ("claude-code", ".claude.json", JSON),
    ("claude-desktop", DESKTOP, JSON),
    ("cursor", ".cursor/mcp.json", JSON),
    ("vscode", VSCODE, JSON),
    ("codex", ".codex/config.toml", TOML),
    ("gemini", ".gemini/settings.json", JSON),
    ("goose", ".config/goose/config.yaml", YAML),
];

#[cfg(target_os = "macos")]
pub(super) const DESKTOP: &str = "Library/Application Support/Claude/claude_desktop_config.json";
#[cfg(not(target_os = "macos"))]
pub(super) const DESKTOP: &str = ".config/Claude/claude_desktop_config.json";
#[cfg(target_os = "macos")]
const VSCODE: &str = "Library/Application Support/Code/User/mcp.json";
#[cfg(not(target_os = "macos"))]
const VSCODE: &str = ".config/Code/User/mcp.json";

const JSON: &str = r#"{
  // What I use every day.
  "theme": "dark", /* not light */
  "mcpServers": {
    "files": { "command": "files", "args": ["--root", "/"] }, // all of it
  },
  "servers": {
    "files": { "type": "stdio", "command": "files" }, // here too
  },
  "last": [1, 2.50, null],
}
"#;

const TOML: &str = r#"# My settings.
model = "o9" # the good one

[mcp_servers.files]
command = "files"
args = ["--root", "/"] # all of it

# The end.
"#;

const YAML: &str = r#"# My settings.
GOOSE_MODEL: o9 # the good one
extensions:
    # All of it.
    files:
        enabled: true
        type: stdio
        cmd: files
        instructions: |
            extensions:
              none

# The end.
GOOSE_MODE: auto
"#;

/// A temporary home folder.
pub(super) struct Home(pub(super) TempDir);

impl Home {
    pub(super) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(super) fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.run_with(arguments, &[("SKILLKEEP_API_KEY", KEY.as_str())])
    }

    pub(super) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> CommandOutput {
        let mut command = program(&["connect"]);
        command.args(arguments).current_dir(self.0.path());
        for name in [
            "XDG_CONFIG_HOME",
            "CLAUDE_CONFIG_DIR",
            "CODEX_HOME",
            "SKILLKEEP_PG_BIN",
        ] {
            command.env_remove(name);
        }
        command.env("HOME", self.0.path()).envs(variables.iter().copied());
        CommandOutput::of(&mut command)
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub(super) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// The other files in the same folder, sorted.
    pub(super) fn other_files(&self, file: &str) -> Vec<PathBuf> {
        let path = self.path(file);
        let mut found: Vec<PathBuf> = fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|other| *other != path && other.is_file())
            .collect();
        found.sort();
        found
    }
}

pub(super) fn mode(path: &PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub(super) fn successful(ran: CommandOutput) -> CommandOutput {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran
}

/// Whether `after` contains every line of `before` in the same order, apart from trailing commas.
pub(super) fn keeps_lines(before: &str, after: &str) -> bool {
    let mut after = after.lines();
    before
        .lines()
        .all(|line| after.any(|other| other.trim_end_matches(',') == line.trim_end_matches(',')))
}
