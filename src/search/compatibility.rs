//! The assistants that a skill is made for, by the front matter's `compatibility` (Agent Skills specification), which is free text.

use assistants::skill_targets::SkillAssistant;

/// Words of texts that name an assistant as an example, as in "Claude Code or similar".
const OPEN_WORDS: [&str; 6] = ["all", "any", "compatible", "etc", "other", "similar"];
/// Other names of assistants, as lowercase words.
const OTHER_NAMES: [(&str, SkillAssistant); 4] = [
    ("claude", SkillAssistant::ClaudeCode),
    ("open code", SkillAssistant::Opencode),
    ("openai codex", SkillAssistant::Codex),
    ("visual studio code", SkillAssistant::Vscode),
];

/// The only assistants that the text says the skill is for. Empty if it names none, or names them as examples.
pub(super) fn only_assistants(compatibility: &str) -> Vec<SkillAssistant> {
    let words = words(compatibility);
    if OPEN_WORDS
        .iter()
        .any(|open| words.split(' ').any(|word| word == *open))
    {
        return Vec::new();
    }
    let text = format!(" {words} ");
    let has = |name: &str| text.contains(&format!(" {} ", self::words(name)));
    let is_named = |assistant: &SkillAssistant| {
        has(assistant.name())
            || has(assistant.title())
            || OTHER_NAMES
                .iter()
                .any(|(name, other)| other == assistant && has(name))
    };
    SkillAssistant::ALL
        .into_iter()
        // No particular one.
        .filter(|assistant| *assistant != SkillAssistant::Agents)
        .filter(is_named)
        .collect()
}

/// The words of a text in lowercase, with one space between them.
fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assistants_are_named_by_name_or_title() {
        for (text, names) in [
            ("", ""),
            ("Requires Python 3.10 and AI agents with bash", ""),
            ("Claude Code CLI", "claude-code"),
            ("\"Designed for Claude Code or similar AI coding agents\"", ""),
            ("Claude Code and compatible agent-skill hosts", ""),
            ("opencode", "opencode"),
            ("[claude, codex, cursor, trae]", "claude-code codex cursor"),
            (
                "Works in VS Code (Visual Studio Code) and Gemini CLI.",
                "gemini-cli vscode",
            ),
            ("Amplifies precodexes", ""),
        ] {
            let found: Vec<&str> = only_assistants(text)
                .into_iter()
                .map(SkillAssistant::name)
                .collect();
            assert_eq!(found.join(" "), names, "{text}");
        }
    }
}
