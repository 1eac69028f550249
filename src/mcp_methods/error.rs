//! Errors of methods. Every text that a method can show to a caller is in this file; a snapshot test lists them.

use crate::db::DbError;
use crate::registry::cursor::InvalidCursor;
use crate::registry::skill_uri::SkillUri;
use crate::shown_text::echoed;

/// Why a method failed.
#[derive(Debug, thiserror::Error)]
pub enum MethodError {
    /// The same for a resource that does not exist, that belongs to another tenant, and that the key cannot view.
    #[error("There is no {} \"{}\" in this registry. {}", .kind.name(), echoed(.uri), .kind.hint())]
    UnknownUri { kind: UriKind, uri: String },
    #[error("{0}")]
    InvalidParameters(String),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What a URI was expected to identify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UriKind {
    Resource,
    Skill,
    Directory,
}

impl UriKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Skill => "skill",
            Self::Directory => "directory",
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::Resource => "Call resources/list or resources/directory/read to find resources.",
            Self::Skill => "Call skills/list to find skills.",
            Self::Directory => {
                "The URI of a directory is that of a SKILL.md without its last segment, or of a folder in it."
            }
        }
    }
}

/// What is wrong with the parameters of a request.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum InvalidParameter {
    #[error("Invalid cursor: {0}.")]
    Cursor(InvalidCursor),
    /// The same for a prompt that does not exist, that belongs to another tenant, and that the key cannot view.
    #[error(
        "There is no prompt \"{}\"{} in this registry. Call prompts/list to find prompts.",
        echoed(.name),
        with_version(.version.as_deref())
    )]
    UnknownPrompt { name: String, version: Option<String> },
    #[error("The prompt search_first requires the argument \"task\": the task in plain words.")]
    MissingTask,
    #[error("The prompt review_skill requires the argument \"skill\": the slug of the skill to review.")]
    MissingSkill,
    #[error("The argument \"{}\" must be a string.", echoed(.0))]
    NotString(String),
    #[error("The argument \"{}\" must have at most {max_chars} characters and no NUL character.", echoed(.argument))]
    UnusableArgument { argument: String, max_chars: usize },
    #[error("This prompt has no argument \"{}\".", echoed(.0))]
    UnknownPromptArgument(String),
    #[error("This template has no argument \"{}\".", echoed(.0))]
    UnknownTemplateArgument(String),
    #[error("There is no such resource template. The only one is {}.", SkillUri::TEMPLATE)]
    UnknownTemplate,
    #[error("Only arguments of prompts and resource templates can be completed.")]
    NotCompletable,
}

impl From<InvalidParameter> for MethodError {
    fn from(error: InvalidParameter) -> Self {
        Self::InvalidParameters(error.to_string())
    }
}

impl From<InvalidCursor> for MethodError {
    fn from(error: InvalidCursor) -> Self {
        InvalidParameter::Cursor(error).into()
    }
}

fn with_version(version: Option<&str>) -> String {
    version.map_or_else(String::new, |version| {
        format!(" with version \"{}\"", echoed(version))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::mem::discriminant;

    use super::*;

    fn invalid_parameters() -> Vec<InvalidParameter> {
        vec![
            InvalidParameter::Cursor(InvalidCursor),
            InvalidParameter::UnknownPrompt {
                name: "fill-pdf".to_owned(),
                version: None,
            },
            InvalidParameter::UnknownPrompt {
                name: "fill-pdf".to_owned(),
                version: Some("2.0".to_owned()),
            },
            InvalidParameter::MissingTask,
            InvalidParameter::MissingSkill,
            InvalidParameter::NotString("task".to_owned()),
            InvalidParameter::UnusableArgument {
                argument: "task".to_owned(),
                max_chars: 20_000,
            },
            InvalidParameter::UnknownPromptArgument("colour".to_owned()),
            InvalidParameter::UnknownTemplateArgument("colour".to_owned()),
            InvalidParameter::UnknownTemplate,
            InvalidParameter::NotCompletable,
        ]
    }

    #[test]
    fn every_error_text_has_a_snapshot() {
        let errors = invalid_parameters();
        let variants = errors.iter().map(discriminant).collect::<HashSet<_>>().len();
        let kinds = [UriKind::Resource, UriKind::Skill, UriKind::Directory];
        let mut lines: Vec<String> = kinds
            .into_iter()
            .map(|kind| {
                let uri = "skill://fill-pdf/1/fill-pdf/a.md".to_owned();
                MethodError::UnknownUri { kind, uri }.to_string()
            })
            .collect();
        lines.extend(
            errors
                .into_iter()
                .map(|error| MethodError::from(error).to_string()),
        );
        insta::assert_snapshot!(lines.join("\n"));
        // A variant without an example above has a text that nobody reviewed. `MethodError` has three texts of its own.
        let source = include_str!("error.rs").split("#[cfg(test)]").next().unwrap();
        assert_eq!(source.matches("#[error(").count() - 3, variants);
    }

    /// The enums above are the only source of texts: a method that formats its own would escape the snapshot.
    #[test]
    fn methods_build_no_error_texts_of_their_own() {
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/mcp_methods")).unwrap() {
            let path = file.unwrap().path();
            if path.ends_with("error.rs") || path.is_dir() {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
            let found = source.contains("MethodError::InvalidParameters(");
            assert!(!found, "{}", path.display());
        }
    }
}
