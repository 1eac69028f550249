//! The assistants that `install_skill` knows: where each looks for skills, and what it refuses.
//!
//! Sources, as of November 2026: the assistants' own documentation of skills, and for Amp, Windsurf, Kiro, Droid and Junie the
//! table of the package `skills` 1.7 on npm.

use schemars::JsonSchema;
use serde::Deserialize;

/// The longest description that the Agent Skills format allows, in characters.
const MAX_DESCRIPTION_CHARS: usize = 1024;
/// The number of characters of a description that Claude Code shows to its model.
const CLAUDE_DESCRIPTION_CHARS: usize = 1536;

macro_rules! assistants {
    ($($variant:ident $name:literal $title:literal $project:literal $user:literal;)+) => {
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

            const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            /// The folder in which the assistant looks for skills.
            pub(super) const fn skills_folder(self, location: Location) -> &'static str {
                match (self, location) {
                    $((Self::$variant, Location::Project) => $project, (Self::$variant, Location::User) => $user),+
                }
            }
        }
    };
}

assistants! {
    Agents        "agents"         "Assistants that read .agents/skills" ".agents/skills" "~/.agents/skills";
    ClaudeCode    "claude-code"    "Claude Code"    ".claude/skills"   "~/.claude/skills";
    ClaudeDesktop "claude-desktop" "Claude Desktop" "."                "~";
    Codex         "codex"          "Codex"          ".agents/skills"   "~/.agents/skills";
    Cursor        "cursor"         "Cursor"         ".cursor/skills"   "~/.cursor/skills";
    GeminiCli     "gemini-cli"     "Gemini CLI"     ".gemini/skills"   "~/.gemini/skills";
    Antigravity   "antigravity"    "Antigravity"    ".agents/skills"   "~/.gemini/antigravity/skills";
    Vscode        "vscode"         "VS Code"        ".github/skills"   "~/.copilot/skills";
    Goose         "goose"          "Goose"          ".agents/skills"   "~/.agents/skills";
    Opencode      "opencode"       "OpenCode"       ".opencode/skills" "~/.config/opencode/skills";
    Amp           "amp"            "Amp"            ".agents/skills"   "~/.config/agents/skills";
    Windsurf      "windsurf"       "Windsurf"       ".windsurf/skills" "~/.codeium/windsurf/skills";
    Zed           "zed"            "Zed"            ".agents/skills"   "~/.agents/skills";
    Kiro          "kiro"           "Kiro"           ".kiro/skills"     "~/.kiro/skills";
    Droid         "droid"          "Factory Droid"  ".factory/skills"  "~/.factory/skills";
    Junie         "junie"          "Junie"          ".junie/skills"    "~/.junie/skills";
    Folder        "folder"         "A plain folder" "."                "~";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Location {
    #[default]
    Project,
    User,
}

/// What the notes are about.
pub(super) struct Installed<'a> {
    pub(super) slug: &'a str,
    /// The name in the front matter.
    pub(super) name: &'a str,
    pub(super) description: &'a str,
}

impl Assistant {
    /// Whether it loads a skill only if its folder is called like the name in the front matter.
    const fn needs_folder_of_name(self) -> bool {
        match self {
            Self::Vscode | Self::Cursor | Self::Opencode | Self::Zed => true,
            Self::Agents
            | Self::ClaudeCode
            | Self::ClaudeDesktop
            | Self::Codex
            | Self::GeminiCli
            | Self::Antigravity
            | Self::Goose
            | Self::Amp
            | Self::Windsurf
            | Self::Kiro
            | Self::Droid
            | Self::Junie
            | Self::Folder => false,
        }
    }

    /// What the user should know before this assistant uses the skill.
    pub(super) fn notes(self, skill: &Installed<'_>) -> Vec<String> {
        let mut notes = Vec::new();
        let title = self.title();
        let chars = skill.description.chars().count();
        match self {
            Self::Codex | Self::Opencode if chars > MAX_DESCRIPTION_CHARS => notes.push(format!(
                "{title} refuses descriptions over 1,024 characters; this one has {chars}. Shorten it in SKILL.md, or ask the \
                 author to."
            )),
            Self::ClaudeCode if chars > CLAUDE_DESCRIPTION_CHARS => notes.push(format!(
                "{title} shows its model the first 1,536 characters of a description; this one has {chars}."
            )),
            Self::ClaudeDesktop => notes.push(
                "Claude Desktop has no skills folder: zip the folder and upload it in the settings of Claude.".to_owned(),
            ),
            Self::Agents
            | Self::ClaudeCode
            | Self::Codex
            | Self::Cursor
            | Self::GeminiCli
            | Self::Antigravity
            | Self::Vscode
            | Self::Goose
            | Self::Opencode
            | Self::Amp
            | Self::Windsurf
            | Self::Zed
            | Self::Kiro
            | Self::Droid
            | Self::Junie
            | Self::Folder => {}
        }
        if skill.name != skill.slug {
            let (slug, name) = (skill.slug, skill.name);
            notes.push(if self.needs_folder_of_name() {
                format!(
                    "The folder has the slug \"{slug}\", but SKILL.md says `name: {name}`, and {title} loads only a skill whose \
                     folder has that name: call the folder so, unless another skill is there."
                )
            } else {
                format!("The folder has the slug \"{slug}\"; SKILL.md says `name: {name}`.")
            });
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(assistant: Assistant, name: &str, description: &str) -> String {
        let skill = Installed {
            slug: "acme-pdf",
            name,
            description,
        };
        assistant.notes(&skill).join("\n")
    }

    #[test]
    fn too_long_description_is_noted_for_assistants_that_refuse_it() {
        let long = "a".repeat(1100);
        assert!(notes(Assistant::Codex, "acme-pdf", &long).contains("this one has 1100"));
        assert_eq!(notes(Assistant::GeminiCli, "acme-pdf", &long), "");
        assert_eq!(notes(Assistant::Codex, "acme-pdf", &"ä".repeat(1024)), "");
        assert_eq!(notes(Assistant::ClaudeCode, "acme-pdf", &long), "");
        assert_ne!(notes(Assistant::ClaudeCode, "acme-pdf", &"a".repeat(1600)), "");
    }

    #[test]
    fn other_name_in_front_matter_is_noted() {
        assert!(notes(Assistant::Vscode, "pdf", "").contains("loads only a skill"));
        assert!(notes(Assistant::ClaudeCode, "pdf", "").contains("`name: pdf`"));
        assert_eq!(notes(Assistant::Vscode, "acme-pdf", ""), "");
    }

    #[test]
    fn every_assistant_has_a_short_name_and_two_folders() {
        assert_eq!(Assistant::ALL.len(), 17);
        for assistant in Assistant::ALL {
            let name = serde_json::json!(assistant.as_str());
            assert_eq!(serde_json::from_value::<Assistant>(name).unwrap(), *assistant);
            // The column installs.assistant.
            assert!(assistant.as_str().len() <= 32);
            assert!(assistant.skills_folder(Location::User).starts_with('~'));
            assert!(!assistant.skills_folder(Location::Project).starts_with('~'));
        }
    }
}
