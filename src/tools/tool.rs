//! The `Tool` trait, its context and its result.

use std::future::Future;

use rmcp::model::{Tool as ToolDescription, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{ArgumentError, ToolError};
use super::name::{SideEffect, ToolName};
use super::schema;
use crate::db::{DbError, TenantTx};
use crate::registry::caller::Caller;
use crate::registry::management;
use crate::registry::private_keys::SigningKeys;
use crate::registry::skills;
use crate::registry::usage::Subject;
use crate::search::SearchCache;
use crate::tenancy::Principal;

/// What a tool works with.
pub struct CallContext<'a> {
    /// The caller's transaction, the only access to the tenant's rows.
    pub tx: &'a TenantTx,
    pub principal: &'a Principal,
    /// The transport, for audit entries.
    pub source: &'static str,
    /// The search indexes. They return ids only; the skills are read through the transaction.
    pub search: &'a SearchCache,
    /// The private keys of this process.
    pub signing_keys: &'a SigningKeys,
}

impl CallContext<'_> {
    /// The caller, for permissions and audit entries.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::of_request(self.principal, self.source).with_signing_keys(self.signing_keys.clone())
    }

    /// Whether a key that is limited to certain skills must not learn of this one, or there is none. Asked before anything
    /// of the skill is read, because the time that its files take would tell that it exists.
    ///
    /// # Errors
    /// [`DbError`] if the database refuses the statement.
    pub async fn is_hidden(&self, slug: &str, version: Option<&str>) -> Result<bool, DbError> {
        if self.principal.only_skills.is_none() {
            return Ok(false);
        }
        let found = skills::find(self.tx, slug, version, self.caller().viewer()).await?;
        Ok(!found.is_some_and(|found| self.principal.can_view_skill(&found.slug)))
    }

    /// As [`Self::is_hidden`], for a change: of a skill in any state, and asked before anything is changed.
    ///
    /// # Errors
    /// [`DbError`] if the database refuses the statement.
    pub async fn is_hidden_from_change(&self, slug: &str) -> Result<bool, DbError> {
        if self.principal.only_skills.is_none() {
            return Ok(false);
        }
        let found = management::find(self.tx, slug).await?;
        Ok(!found.is_some_and(|found| self.principal.can_view_skill(&found.slug)))
    }
}

/// A tool. `Self` is its input: the JSON schema of `Self` describes the arguments, and its limits (lengths, ranges) are
/// checked before [`Self::check`].
pub(super) trait Tool: DeserializeOwned + JsonSchema + Send {
    const TITLE: &'static str;
    const DESCRIPTION: &'static str;
    type Output: Serialize + JsonSchema;

    /// Checks what the schema cannot express.
    fn check(&self) -> Result<(), ArgumentError> {
        Ok(())
    }

    fn run(self, cx: &CallContext<'_>) -> impl Future<Output = Result<Done<Self::Output>, ToolError>> + Send;
}

/// A tool's output, and what its usage event needs.
#[derive(Debug)]
pub(super) struct Done<T> {
    output: T,
    subject: Subject,
    result_count: Option<i32>,
    is_weak: bool,
}

impl<T> Done<T> {
    pub(super) fn new(output: T) -> Self {
        Self {
            output,
            subject: Subject::default(),
            result_count: None,
            is_weak: false,
        }
    }

    pub(super) fn with_subject(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// Marks a search whose hits have probably nothing to do with its query.
    pub(super) fn with_weak_hits(mut self, is_weak: bool) -> Self {
        self.is_weak = is_weak;
        self
    }

    pub(super) fn with_result_count(mut self, count: usize) -> Self {
        self.result_count = Some(i32::try_from(count).unwrap_or(i32::MAX));
        self
    }
}

/// The result of any tool.
#[derive(Debug)]
pub struct Answer {
    /// The structured content.
    pub output: Value,
    /// The skill that the call was about.
    pub subject: Subject,
    /// Number of skills that a search returned.
    pub result_count: Option<i32>,
    /// Whether the hits of a search have probably nothing to do with its query.
    pub is_weak: bool,
}

impl<T: Serialize> Done<T> {
    pub(super) fn into_answer(self) -> Result<Answer, ToolError> {
        let output = serde_json::to_value(self.output).map_err(|error| {
            ToolError::Db(DbError::Corrupt(format!("cannot serialize a result: {error}")))
        })?;
        Ok(Answer {
            output,
            subject: self.subject,
            result_count: self.result_count,
            is_weak: self.is_weak,
        })
    }
}

/// The description of a tool in `tools/list`.
pub(super) fn describe<T: Tool>(tool: ToolName) -> ToolDescription {
    let effect = tool.effect();
    // A read-only tool is neither destructive nor not idempotent; the protocol ignores these hints for it.
    let annotations = match effect {
        SideEffect::Reads => ToolAnnotations::new().read_only(true),
        SideEffect::Adds => ToolAnnotations::new().destructive(false),
        SideEffect::AddsOnce => ToolAnnotations::new().destructive(false).idempotent(true),
        SideEffect::Changes => ToolAnnotations::new().destructive(true).idempotent(true),
    }
    .open_world(false);
    ToolDescription::new(tool.as_str(), T::DESCRIPTION, schema::of_input::<T>())
        .with_title(T::TITLE)
        .with_raw_output_schema(schema::of_output::<T::Output>())
        .with_annotations(annotations)
}
