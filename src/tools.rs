//! The tools: one file each, and the one enum of all calls.
//!
//! Invariant: no tool holds a connection or the pool. It gets the caller's open transaction and nothing more.

mod confirm_install;
mod get_skill;
mod install_skill;
mod limits;
mod record_usage;
mod schema;
mod search_skills;
mod usage_report;
mod whoami;

use std::future::Future;
use std::sync::OnceLock;

use rmcp::model::{JsonObject, Tool as ToolDescription, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::db::{DbError, TenantTx};
use crate::registry::cursor::InvalidCursor;
use crate::registry::usage::Subject;
use crate::search::SearchCache;
use crate::tenancy::{Principal, Scope};

/// What a tool works with.
pub struct CallContext<'a> {
    /// The caller's transaction: the only way to his tenant's rows.
    pub tx: &'a TenantTx,
    /// The caller.
    pub principal: &'a Principal,
    /// The tenants' search indexes; what they find is read back through the transaction.
    pub search: &'a SearchCache,
}

/// What a tool does to the registry: decides what becomes of it when its caller leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideEffect {
    /// It only reads: stopped at once when the caller leaves.
    Reads,
    /// It adds to the registry: brought to its end, and its true outcome recorded. Calling it again adds again.
    Adds,
    /// As [`Self::Adds`], but calling it again with the same arguments changes nothing more.
    AddsOnce,
}

/// A tool: its input is `Self`.
trait Tool: DeserializeOwned + JsonSchema + Send {
    const NAME: &'static str;
    const TITLE: &'static str;
    const DESCRIPTION: &'static str;
    /// `None` for a tool that every valid key may call.
    const SCOPE: Option<Scope>;
    const EFFECT: SideEffect;
    type Output: Serialize + JsonSchema;

    /// Refuses arguments out of range: the schema tells the caller about them, and nobody else checks.
    fn check(&self) -> Result<(), String>;

    fn run(self, cx: &CallContext<'_>) -> impl Future<Output = Result<Done<Self::Output>, ToolError>> + Send;
}

/// A tool's answer with what its record needs.
#[derive(Debug)]
struct Done<T> {
    output: T,
    subject: Subject,
    result_count: Option<i32>,
}

impl<T> Done<T> {
    fn new(output: T) -> Self {
        Self {
            output,
            subject: Subject::default(),
            result_count: None,
        }
    }

    fn about(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }
}

/// The answer of any tool.
#[derive(Debug)]
pub struct Answer {
    /// The structured content.
    pub output: Value,
    /// What the call was about.
    pub subject: Subject,
    /// Rows that a search found.
    pub result_count: Option<i32>,
}

/// Why a tool did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The caller can do something about it; the message says what.
    #[error("{message}")]
    Refused {
        /// A stable word for the reason.
        code: &'static str,
        /// What happened and what to do next.
        message: String,
    },
    /// An argument is not right, which only showed in the running; the text says how.
    #[error("{0}")]
    InvalidArguments(String),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<InvalidCursor> for ToolError {
    fn from(error: InvalidCursor) -> Self {
        Self::InvalidArguments(format!("Invalid cursor: {error}."))
    }
}

impl ToolError {
    fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused {
            code,
            message: message.into(),
        }
    }

    /// One answer for a skill that does not exist, one that is another tenant's, and one that the key may not see.
    fn no_such_skill(slug: &str, version: Option<&str>) -> Self {
        let what = match version {
            Some(version) => format!("skill \"{slug}\" with version \"{version}\""),
            None => format!("skill \"{slug}\""),
        };
        Self::refused(
            "not_found",
            format!("There is no {what} in this registry. search_skills finds what there is."),
        )
    }
}

/// A call that cannot be run as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// No tool has this name.
    UnknownTool,
    /// The arguments break the tool's rules; the text says how.
    InvalidArguments(String),
}

macro_rules! calls {
    ($($variant:ident => $module:ident::$input:ident),+ $(,)?) => {
        /// One call, its arguments checked. Adding a tool adds a variant here.
        pub enum Call {
            $(#[doc = concat!("`", stringify!($module), "`")] $variant(Box<$module::$input>)),+
        }

        /// The names of the tools.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ToolName {
            $(#[doc = concat!("`", stringify!($module), "`")] $variant),+
        }

        impl ToolName {
            /// Every tool, in the order in which they are listed.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name that callers use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => <$module::$input as Tool>::NAME),+ }
            }

            /// The scope that a key needs for it.
            #[must_use]
            pub const fn scope(self) -> Option<Scope> {
                match self { $(Self::$variant => <$module::$input as Tool>::SCOPE),+ }
            }

            /// What it does to the registry.
            #[must_use]
            pub const fn effect(self) -> SideEffect {
                match self { $(Self::$variant => <$module::$input as Tool>::EFFECT),+ }
            }

            /// Makes the description anew, schemas and all.
            fn make_description(self) -> ToolDescription {
                match self { $(Self::$variant => describe::<$module::$input>()),+ }
            }
        }

        impl Call {
            /// Reads a call of this tool.
            ///
            /// # Errors
            /// [`Rejection::InvalidArguments`] where the arguments break the tool's rules.
            pub fn parse(name: ToolName, arguments: JsonObject) -> Result<Self, Rejection> {
                match name {
                    $(ToolName::$variant => read_arguments(arguments).map(|input| Self::$variant(Box::new(input)))),+
                }
            }

            /// Runs it in the caller's transaction.
            ///
            /// # Errors
            /// When the tool refuses or the database fails; the transaction must then be undone.
            pub async fn run(self, cx: &CallContext<'_>) -> Result<Answer, ToolError> {
                match self { $(Self::$variant(input) => finish(input.run(cx).await?)),+ }
            }

            /// Its tool.
            #[must_use]
            pub const fn name(&self) -> ToolName {
                match self { $(Self::$variant(_) => ToolName::$variant),+ }
            }
        }
    };
}

calls! {
    SearchSkills => search_skills::SearchSkills,
    GetSkill => get_skill::GetSkill,
    InstallSkill => install_skill::InstallSkill,
    ConfirmInstall => confirm_install::ConfirmInstall,
    RecordUsage => record_usage::RecordUsage,
    UsageReport => usage_report::UsageReportInput,
    Whoami => whoami::Whoami,
}

impl ToolName {
    /// The tool as `tools/list` describes it. Made once, because the HTTP layer asks for it with every call of the newest
    /// revision.
    #[must_use]
    pub fn describe(self) -> ToolDescription {
        static DESCRIPTIONS: OnceLock<Vec<(ToolName, ToolDescription)>> = OnceLock::new();
        let all = DESCRIPTIONS.get_or_init(|| {
            Self::ALL
                .iter()
                .map(|tool| (*tool, tool.make_description()))
                .collect()
        });
        match all.iter().find(|(tool, _)| *tool == self) {
            Some((_, description)) => description.clone(),
            None => self.make_description(),
        }
    }

    /// The tool that callers know by this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|tool| tool.as_str() == name)
    }

    /// Whether this key may call it.
    #[must_use]
    pub fn allowed_for(self, principal: &Principal) -> bool {
        self.scope().is_none_or(|scope| principal.scopes.allow(scope))
            && principal.can_call_tool(self.as_str())
    }
}

fn read_arguments<T: Tool>(arguments: JsonObject) -> Result<T, Rejection> {
    let arguments = Value::Object(arguments);
    // PostgreSQL's text cannot hold it, and no argument of ours has a use for it.
    if contains_nul(&arguments) {
        return Err(Rejection::InvalidArguments(
            "An argument contains a NUL character. Send it without.".to_owned(),
        ));
    }
    let input: T = serde_json::from_value(arguments).map_err(|error| {
        Rejection::InvalidArguments(format!("The arguments of {} are not right: {error}.", T::NAME))
    })?;
    input.check().map_err(|reason| {
        Rejection::InvalidArguments(format!("The arguments of {} are not right: {reason}.", T::NAME))
    })?;
    Ok(input)
}

fn contains_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(contains_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || contains_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn finish<T: Serialize>(done: Done<T>) -> Result<Answer, ToolError> {
    let output = serde_json::to_value(done.output).map_err(|error| {
        ToolError::Db(DbError::Corrupt(format!(
            "an answer cannot be written as JSON: {error}"
        )))
    })?;
    Ok(Answer {
        output,
        subject: done.subject,
        result_count: done.result_count,
    })
}

fn describe<T: Tool>() -> ToolDescription {
    let annotations = ToolAnnotations::with_title(T::TITLE)
        .read_only(T::EFFECT == SideEffect::Reads)
        .destructive(false)
        .idempotent(T::EFFECT != SideEffect::Adds)
        .open_world(false);
    ToolDescription::new(T::NAME, T::DESCRIPTION, schema::of::<T>())
        .with_title(T::TITLE)
        .with_raw_output_schema(schema::of::<T::Output>())
        .with_annotations(annotations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_described_with_both_schemas_and_a_unique_name() {
        let mut names = Vec::new();
        for tool in ToolName::ALL {
            let description = tool.describe();
            assert_eq!(
                description.input_schema.get("type"),
                Some(&"object".into()),
                "{}",
                tool.as_str()
            );
            assert_eq!(
                description.input_schema.get("additionalProperties"),
                Some(&false.into()),
                "{}",
                tool.as_str()
            );
            let output = description.output_schema.unwrap();
            assert_eq!(output.get("type"), Some(&"object".into()), "{}", tool.as_str());
            assert!(
                !serde_json::to_string(&output).unwrap().contains("$ref"),
                "{}",
                tool.as_str()
            );
            assert_eq!(ToolName::from_name(tool.as_str()), Some(*tool));
            names.push(tool.as_str());
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ToolName::ALL.len());
    }

    #[test]
    fn unknown_arguments_wrong_types_and_nul_are_refused_by_every_tool() {
        for tool in ToolName::ALL {
            for arguments in [
                serde_json::json!({"surprise": 1}),
                serde_json::json!({"query": "a\u{0}b"}),
            ] {
                let arguments = arguments.as_object().cloned().unwrap();
                let rejection = Call::parse(*tool, arguments).err();
                assert!(
                    matches!(rejection, Some(Rejection::InvalidArguments(_))),
                    "{}: {rejection:?}",
                    tool.as_str()
                );
            }
        }
    }
}
