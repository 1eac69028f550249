//! The assistants that `install_skill` knows. Where each looks for skills is in the crate `assistants`.

use assistants::skill_targets::{self, Level, SkillAssistant, WrittenSkill, install_folder};
use schemars::JsonSchema;
use serde::Deserialize;

macro_rules! assistants {
    ($($variant:ident $name:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
        pub(super) enum Assistant {
            $(#[serde(rename = $name)] $variant),+
        }

        impl Assistant {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

assistants! {
    Agents        "agents";
    ClaudeCode    "claude-code";
    ClaudeDesktop "claude-desktop";
    Codex         "codex";
    Cursor        "cursor";
    GeminiCli     "gemini-cli";
    Antigravity   "antigravity";
    Vscode        "vscode";
    Goose         "goose";
    Opencode      "opencode";
    Amp           "amp";
    Windsurf      "windsurf";
    Zed           "zed";
    Kiro          "kiro";
    Droid         "droid";
    Junie         "junie";
    Folder        "folder";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Location {
    #[default]
    Project,
    User,
}

impl Location {
    const fn level(self) -> Level {
        match self {
            Self::Project => Level::Project,
            Self::User => Level::User,
        }
    }
}

impl Assistant {
    /// Its row in the table; `None` for a plain folder.
    fn known(self) -> Option<SkillAssistant> {
        self.as_str().parse().ok()
    }

    /// The folder to install to: relative to the project's root, or with `~/`.
    pub(super) fn skills_folder(self, location: Location) -> &'static str {
        let folder = self
            .known()
            .and_then(|known| install_folder(known, location.level()));
        match (folder, location) {
            (Some(folder), _) => folder.written(),
            (None, Location::Project) => ".",
            (None, Location::User) => "~",
        }
    }

    /// The value of `--for`; `None` for a plain folder.
    pub(super) fn for_command(self) -> Option<&'static str> {
        self.known().map(SkillAssistant::name)
    }

    /// What the user should know before this assistant uses the skill.
    pub(super) fn notes(self, skill: &WrittenSkill<'_>) -> Vec<String> {
        skill_targets::notes(self.known().unwrap_or(SkillAssistant::Agents), skill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_assistant_of_the_table_can_be_named() {
        let named: Vec<&str> = Assistant::ALL
            .iter()
            .filter_map(|one| one.for_command())
            .collect();
        assert_eq!(named, SkillAssistant::ALL.map(SkillAssistant::name));
        for assistant in Assistant::ALL {
            let name = serde_json::json!(assistant.as_str());
            assert_eq!(serde_json::from_value::<Assistant>(name).unwrap(), *assistant);
            // The column installs.assistant.
            assert!(assistant.as_str().len() <= 32);
            assert!(assistant.skills_folder(Location::User).starts_with('~'));
            assert!(!assistant.skills_folder(Location::Project).starts_with('~'));
        }
        assert_eq!(
            Assistant::Cursor.skills_folder(Location::Project),
            ".agents/skills"
        );
        assert_eq!(
            Assistant::ClaudeCode.skills_folder(Location::User),
            "~/.claude/skills"
        );
        assert_eq!(Assistant::Folder.skills_folder(Location::Project), ".");
    }
}
