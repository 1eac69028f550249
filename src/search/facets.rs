//! The values of a skill by which a search can be filtered. The index stores them with the skill.

use assistants::skill_targets::SkillAssistant;

use crate::registry::skills::Changed;

/// Separates the values. PostgreSQL stores no text that contains it.
const SEPARATOR: char = '\0';

/// The values of a skill by which a search can be filtered. All but the slug are lowercase.
#[derive(Debug, Clone, Copy)]
pub struct Facets<'a> {
    pub slug: &'a str,
    category: &'a str,
    author: &'a str,
    updated: &'a str,
    assistants: &'a str,
    tags: &'a str,
}

impl<'a> Facets<'a> {
    /// The values as the index stores them.
    pub(super) fn encode(skill: &Changed, assistants: &[SkillAssistant]) -> Box<[u8]> {
        let lower = |text: &Option<String>| text.as_deref().unwrap_or_default().to_lowercase();
        let mut values = vec![
            skill.slug.clone(),
            lower(&skill.category),
            lower(&skill.author),
            skill.updated_at.as_second().to_string(),
            assistants
                .iter()
                .map(|assistant| assistant.name())
                .collect::<Vec<_>>()
                .join(" "),
        ];
        values.extend(skill.tags.iter().map(|tag| tag.to_lowercase()));
        values.join(&SEPARATOR.to_string()).into_bytes().into()
    }

    /// `None` if the bytes are damaged.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut values = str::from_utf8(bytes).ok()?.splitn(6, SEPARATOR);
        Some(Self {
            slug: values.next()?,
            category: values.next()?,
            author: values.next()?,
            updated: values.next()?,
            assistants: values.next()?,
            tags: values.next().unwrap_or_default(),
        })
    }

    /// The slug alone. `None` if the bytes are damaged.
    pub(super) fn slug_of(bytes: &'a [u8]) -> Option<&'a str> {
        let slug = bytes.split(|byte| *byte == SEPARATOR as u8).next()?;
        str::from_utf8(slug).ok()
    }

    #[must_use]
    pub fn category(&self) -> Option<&'a str> {
        Some(self.category).filter(|category| !category.is_empty())
    }

    #[must_use]
    pub fn author(&self) -> Option<&'a str> {
        Some(self.author).filter(|author| !author.is_empty())
    }

    /// The names of the only assistants that the skill is made for. Empty: of all.
    pub fn assistants(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.assistants.split(' ').filter(|name| !name.is_empty())
    }

    pub fn tags(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.tags.split(SEPARATOR).filter(|tag| !tag.is_empty())
    }

    /// When the skill was last changed, in seconds since 1970.
    #[must_use]
    pub fn updated_second(&self) -> i64 {
        self.updated.parse().unwrap_or_default()
    }
}
