//! Errors of tools. Every text that a tool can show to a caller is in this file; a snapshot test lists them.

mod lifecycle;

pub(super) use lifecycle::LifecycleRefusal;

use agent_skills::{IdError, VersionError};

use super::name::ToolName;
use crate::db::DbError;
use crate::registry::cursor::InvalidCursor;
use crate::registry::lifecycle::VersionState;
use crate::shown_text::echoed;

/// Why a tool failed.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The model or its user can act on it.
    #[error("{message}")]
    Refused {
        /// Stable identifier of the reason, recorded in the usage event.
        code: &'static str,
        /// What happened, and what to do next.
        message: String,
    },
    /// An invalid argument that only shows while the tool runs.
    #[error("{0}")]
    InvalidArguments(String),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Why a call is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    UnknownTool,
    /// The arguments do not match the tool's schema; the text names the argument and its rule.
    InvalidArguments(String),
}

impl From<InvalidCursor> for ToolError {
    fn from(error: InvalidCursor) -> Self {
        Self::InvalidArguments(format!("Invalid cursor: {error}."))
    }
}

/// What a tool refuses, with the message for the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The same for a skill that does not exist, that belongs to another tenant, and that the key cannot view.
    #[error("There is no skill \"{}\" in this registry.{} Call search_skills to find skills.", echoed(.slug), named("Similar", .near))]
    UnknownSkill {
        slug: String,
        /// Slugs that the caller may have meant.
        near: Vec<String>,
    },
    #[error(
        "There is no version \"{}\" of \"{}\".{} Omit `version` for the latest.",
        echoed(.version),
        echoed(.slug),
        named("Versions", .versions)
    )]
    UnknownVersion {
        slug: String,
        version: String,
        /// The newest versions.
        versions: Vec<String>,
    },
    #[error(
        "There is no install of yours with this install_id. Call install_skill first; it returns the install_id."
    )]
    UnknownInstall,
    #[error("The skill \"{}\" has no file \"{}\". Call get_skill without `file` to list its files.", echoed(.slug), echoed(.path))]
    UnknownFile { slug: String, path: String },
    #[error("\"{}\" is not a text file. Call install_skill to get its bytes.", echoed(.path))]
    NotText { path: String },
    #[error("`offset` {offset} is behind the end: there are {total} {unit}. Use a smaller `offset`.")]
    PastTheEnd {
        offset: usize,
        total: usize,
        unit: &'static str,
    },
    #[error(
        "Version {version} of \"{slug}\" was withdrawn{} and cannot be installed. Omit `version` to install the latest.",
        in_parentheses(.reason)
    )]
    Yanked {
        slug: String,
        version: String,
        /// Empty if none was given.
        reason: String,
    },
    #[error(
        "An index lists at most {max} skills, and this key sees more. Use a key or a secret path that is limited to some skills."
    )]
    TooManySkills { max: usize },
    /// Only for those who may read the version in every state.
    #[error("Version {version} of \"{slug}\" cannot be installed: {}. Call get_skill to see its state.", why_not(*.state))]
    NotPublished {
        slug: String,
        version: String,
        state: VersionState,
    },
    #[error(
        "Version {version} of \"{slug}\" must not be used: an administrator denied its content ({reason}). Remove it where it is \
         installed; get_skill shows other versions."
    )]
    Denied {
        slug: String,
        version: String,
        reason: String,
    },
    #[error("The idempotency key \"{}\" was already used for a different report. Use a new key.", echoed(.key))]
    IdempotencyConflict { key: String },
    #[error(
        "This API key is limited to certain skills, but the report covers all skills. Ask your administrator for a key without \
         that limit; get_skill shows the numbers of one skill."
    )]
    LimitedKey,
}

impl Refusal {
    const fn code(&self) -> &'static str {
        match self {
            Self::UnknownSkill { .. } | Self::UnknownVersion { .. } | Self::UnknownInstall => "not_found",
            Self::UnknownFile { .. } => "no_such_file",
            Self::NotText { .. } => "not_text",
            Self::PastTheEnd { .. } => "past_the_end",
            Self::Yanked { .. } => "yanked",
            Self::TooManySkills { .. } => "too_many_skills",
            Self::NotPublished { .. } => "not_published",
            Self::Denied { .. } => "denied",
            Self::IdempotencyConflict { .. } => "idempotency_conflict",
            Self::LimitedKey => "limited_key",
        }
    }
}

impl From<Refusal> for ToolError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            code: refusal.code(),
            message: refusal.to_string(),
        }
    }
}

/// What is wrong with the arguments of a call.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArgumentError {
    #[error("an argument contains a NUL character; remove it")]
    Nul,
    /// A wrong type, a missing or an unknown argument, as `serde_json` describes it.
    #[error("{0}")]
    Json(String),
    #[error("`{}` {rule}", echoed(.argument))]
    Limit { argument: String, rule: String },
    #[error("`install_id` is not a UUID; use the install_id that install_skill returned")]
    InstallId,
    #[error("`digest` of \"{}\": {error}", echoed(.path))]
    FileDigest { path: String, error: IdError },
    #[error(
        "`installed` is missing: list the skills on disk, e.g. [{{\"skill\": \"fill-pdf\", \"version\": \"1.2\"}}]"
    )]
    NothingInstalled,
    #[error("`mine` takes no query and no filters; omit them")]
    MineWithFilters,
    #[error("`updated_since` is not a date; write it as 2026-01-31")]
    Date,
    #[error("`files` lists \"{}\" more than once", echoed(.0))]
    DuplicateFile(String),
    #[error("{0}")]
    Slug(IdError),
    #[error("`version`: {0}")]
    Version(VersionError),
    #[error("`to`: {0}")]
    Email(String),
    #[error("the file \"{}\" needs either `text` or `base64`", echoed(.0))]
    FileContent(String),
    #[error("`base64` of \"{}\" is not valid Base64; encode the bytes of the file (RFC 4648, section 4)", echoed(.0))]
    FileBase64(String),
    #[error("a verdict needs `decided_by`: `person` or `assistant`")]
    DecidedBy,
    #[error("a request for changes needs a `comment` that says what to change")]
    CommentNeeded,
    #[error("give `stars` to rate, or set `withdraw` to take your rating back")]
    StarsOrWithdraw,
    #[error("name the `version`, or set `all`, but not both")]
    VersionOrAll,
    #[error("`reason` is missing; say why, for those who have the version")]
    ReasonNeeded,
    #[error("`undo` needs the `version` to publish again")]
    UndoVersion,
    #[error("this action needs `to`: a slug to rename, an email address to transfer")]
    ToNeeded,
}

impl ArgumentError {
    pub(super) fn into_rejection(self, tool: ToolName) -> Rejection {
        Rejection::InvalidArguments(self.text(tool))
    }

    /// For an argument that is read again while the tool runs.
    pub(super) fn into_error(self, tool: ToolName) -> ToolError {
        ToolError::InvalidArguments(self.text(tool))
    }

    fn text(&self, tool: ToolName) -> String {
        format!("Invalid arguments for {}: {self}.", tool.as_str())
    }
}

fn named(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(" {what}: {}.", names.join(", "))
    }
}

const fn why_not(state: VersionState) -> &'static str {
    match state {
        VersionState::Draft => "it is a draft",
        VersionState::InReview => "it waits for a review",
        VersionState::Published => "it is quarantined, or its skill is archived",
        VersionState::Yanked => "it was withdrawn",
    }
}

fn in_parentheses(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::mem::discriminant;

    use super::*;
    use crate::ids::Digest;

    fn refusals() -> Vec<Refusal> {
        let (slug, path) = ("fill-pdf".to_owned(), "logo.png".to_owned());
        vec![
            Refusal::UnknownSkill {
                slug: "fil-pdf".to_owned(),
                near: Vec::new(),
            },
            Refusal::UnknownSkill {
                slug: "fil-pdf".to_owned(),
                near: vec!["fill-pdf".to_owned(), "fill-pdf-forms".to_owned()],
            },
            Refusal::UnknownVersion {
                slug: slug.clone(),
                version: "2.0".to_owned(),
                versions: vec!["1.1".to_owned(), "1.0".to_owned()],
            },
            Refusal::PastTheEnd {
                offset: 900,
                total: 120,
                unit: "characters",
            },
            Refusal::UnknownInstall,
            Refusal::UnknownFile {
                slug: slug.clone(),
                path: path.clone(),
            },
            Refusal::NotText { path },
            Refusal::Yanked {
                slug: slug.clone(),
                version: "2.0".to_owned(),
                reason: String::new(),
            },
            Refusal::TooManySkills { max: 5_000 },
            Refusal::NotPublished {
                slug: slug.clone(),
                version: "2.0".to_owned(),
                state: VersionState::Draft,
            },
            Refusal::Yanked {
                slug: slug.clone(),
                version: "2.0".to_owned(),
                reason: "It deletes files.".to_owned(),
            },
            Refusal::Denied {
                slug,
                version: "2.0".to_owned(),
                reason: "It sends data to a stranger.".to_owned(),
            },
            Refusal::IdempotencyConflict {
                key: "run-42".to_owned(),
            },
            Refusal::LimitedKey,
        ]
    }

    fn argument_errors() -> Vec<ArgumentError> {
        let digest_error = "sha256:x".parse::<Digest>().unwrap_err();
        vec![
            ArgumentError::Nul,
            ArgumentError::Json("missing field `skill`".to_owned()),
            ArgumentError::Limit {
                argument: "limit".to_owned(),
                rule: "must be between 1 and 50, got 99".to_owned(),
            },
            ArgumentError::InstallId,
            ArgumentError::FileDigest {
                path: "SKILL.md".to_owned(),
                error: digest_error,
            },
            ArgumentError::NothingInstalled,
            ArgumentError::MineWithFilters,
            ArgumentError::Date,
            ArgumentError::DuplicateFile("SKILL.md".to_owned()),
            ArgumentError::Slug("A b".parse::<crate::ids::Slug>().unwrap_err()),
            ArgumentError::Version("latest build!".parse::<agent_skills::SkillVersion>().unwrap_err()),
            ArgumentError::Email("expected an email address".to_owned()),
            ArgumentError::FileContent("SKILL.md".to_owned()),
            ArgumentError::FileBase64("logo.png".to_owned()),
            ArgumentError::DecidedBy,
            ArgumentError::CommentNeeded,
            ArgumentError::StarsOrWithdraw,
            ArgumentError::VersionOrAll,
            ArgumentError::ReasonNeeded,
            ArgumentError::UndoVersion,
            ArgumentError::ToNeeded,
        ]
    }

    #[test]
    fn every_error_text_has_a_snapshot() {
        let refusals = refusals();
        let argument_errors = argument_errors();
        let mut lines: Vec<String> = refusals
            .iter()
            .map(|refusal| format!("{}: {refusal}", refusal.code()))
            .collect();
        let variants = refusals.iter().map(discriminant).collect::<HashSet<_>>().len()
            + argument_errors
                .iter()
                .map(discriminant)
                .collect::<HashSet<_>>()
                .len();
        lines.extend(argument_errors.into_iter().map(|error| {
            match error.into_rejection(ToolName::SearchSkills) {
                Rejection::InvalidArguments(message) => message,
                Rejection::UnknownTool => unreachable!(),
            }
        }));
        lines.push(ToolError::from(InvalidCursor).to_string());
        insta::assert_snapshot!(lines.join("\n"));
        // A variant without an example above has a text that nobody reviewed. `ToolError` has three texts of its own.
        let source = include_str!("error.rs").split("#[cfg(test)]").next().unwrap();
        assert_eq!(source.matches("#[error(").count() - 3, variants);
    }

    /// The enums above are the only source of texts: a tool that formats its own would escape the snapshot.
    #[test]
    fn tools_build_no_error_texts_of_their_own() {
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tools")).unwrap() {
            let path = file.unwrap().path();
            if path.ends_with("error.rs") || path.is_dir() {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
            let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            for text in ["Refused {", "InvalidArguments("] {
                let found = code.clone().any(|line| line.contains(text));
                assert!(!found, "{}: {text}", path.display());
            }
        }
    }
}
