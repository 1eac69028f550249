//! What a user should know before an assistant uses a skill.

use super::assistant::SkillAssistant;
use super::folders::needs_folder_of_name;
use super::row::OverLimit;

/// What the notes are about.
#[derive(Debug, Clone, Copy)]
pub struct WrittenSkill<'a> {
    /// The name of the skill's folder.
    pub slug: &'a str,
    /// The name as written in the front matter.
    pub name: &'a str,
    /// The description as written in the front matter.
    pub description: &'a str,
}

/// Sentences for the user; empty if there is nothing to know. For a folder of no assistant, use [`SkillAssistant::Agents`].
pub fn notes(assistant: SkillAssistant, skill: &WrittenSkill<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let title = assistant.title();
    let chars = skill.description.chars().count();
    if let Some(limit) = assistant
        .row()
        .description_limit
        .filter(|limit| chars > limit.chars)
    {
        let most = grouped(limit.chars);
        notes.push(match limit.over {
            OverLimit::Refused => format!(
                "{title} refuses descriptions over {most} characters; this one has {chars}. Shorten it in SKILL.md, or ask the \
                 author to."
            ),
            OverLimit::Cut => format!(
                "{title} shows its model the first {most} characters of a description; this one has {chars}."
            ),
        });
    }
    if assistant == SkillAssistant::ClaudeDesktop {
        notes.push(
            "Claude Desktop has no skills folder: zip the folder and upload it in the settings of Claude."
                .to_owned(),
        );
    }
    if skill.name != skill.slug {
        let (slug, name) = (skill.slug, skill.name);
        notes.push(if needs_folder_of_name(assistant) {
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

/// `1536` as `1,536`. Limits are below a million.
fn grouped(number: usize) -> String {
    match (number / 1000, number % 1000) {
        (0, below) => below.to_string(),
        (thousands, below) => format!("{thousands},{below:03}"),
    }
}
