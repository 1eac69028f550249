//! A tool call with checked arguments, and the list that binds each tool name to its implementation.

use std::pin::Pin;
use std::sync::OnceLock;

use rmcp::model::{JsonObject, Tool as ToolDescription};

use super::error::{Rejection, ToolError};
use super::name::ToolName;
use super::tool::{Answer, CallContext, Tool, describe};
use super::{
    arguments, check_installed, confirm_install, fork_skill, get_skill, install_skill, publish_skill,
    rate_skill, recommend_skills, record_usage, review_skill, search_skills, update_skill, usage_report,
    whoami, yank_skill,
};

macro_rules! calls {
    ($($variant:ident => $input:path),+ $(,)?) => {
        /// A call of one tool, its arguments parsed and checked.
        ///
        /// ```
        /// use serde_json::json;
        /// use skillkeep::tools::{Call, Rejection, ToolName};
        ///
        /// let arguments = |json: serde_json::Value| json.as_object().cloned().unwrap();
        ///
        /// let call = Call::parse(ToolName::GetSkill, arguments(json!({"skill": "fill-pdf"}))).ok().unwrap();
        /// assert_eq!(call.name(), ToolName::GetSkill);
        ///
        /// let rejection = Call::parse(ToolName::SearchSkills, arguments(json!({"limit": 99}))).err().unwrap();
        /// assert_eq!(
        ///     rejection,
        ///     Rejection::InvalidArguments(
        ///         "Invalid arguments for search_skills: `limit` must be between 1 and 50, got 99.".to_owned()
        ///     )
        /// );
        /// ```
        pub enum Call {
            $(#[doc = concat!("A call of [`ToolName::", stringify!($variant), "`]")] $variant(Box<$input>)),+
        }

        impl Call {
            /// Parses and checks the arguments of a call.
            ///
            /// # Errors
            /// [`Rejection::InvalidArguments`] if they do not match the tool's input schema.
            pub fn parse(tool: ToolName, arguments: JsonObject) -> Result<Self, Rejection> {
                let schema = &description(tool).input_schema;
                match tool {
                    $(ToolName::$variant => {
                        arguments::read(tool, schema, arguments).map(|input| Self::$variant(Box::new(input)))
                    }),+
                }
            }

            /// Runs the tool in the caller's transaction.
            ///
            /// # Errors
            /// [`ToolError`]; the transaction must then be rolled back.
            pub async fn run(self, cx: &CallContext<'_>) -> Result<Answer, ToolError> {
                let running = match self { $(Self::$variant(input) => boxed(input, cx)),+ };
                running.await
            }

            #[must_use]
            pub const fn name(&self) -> ToolName {
                match self { $(Self::$variant(_) => ToolName::$variant),+ }
            }
        }

        /// Built once per tool: the HTTP layer needs the schemas for every call of protocol version 2026-07-28.
        fn description(tool: ToolName) -> &'static ToolDescription {
            match tool {
                $(ToolName::$variant => {
                    static DESCRIPTION: OnceLock<ToolDescription> = OnceLock::new();
                    DESCRIPTION.get_or_init(|| describe::<$input>(tool))
                }),+
            }
        }
    };
}

calls! {
    SearchSkills => search_skills::SearchSkills,
    GetSkill => get_skill::GetSkill,
    InstallSkill => install_skill::InstallSkill,
    ConfirmInstall => confirm_install::ConfirmInstall,
    CheckInstalled => check_installed::CheckInstalled,
    RecordUsage => record_usage::RecordUsage,
    UsageReport => usage_report::UsageReportInput,
    RateSkill => rate_skill::RateSkill,
    PublishSkill => publish_skill::PublishSkill,
    ReviewSkill => review_skill::ReviewSkill,
    ForkSkill => fork_skill::ForkSkill,
    UpdateSkill => update_skill::UpdateSkill,
    YankSkill => yank_skill::YankSkill,
    Whoami => whoami::Whoami,
    Recommend => recommend_skills::RecommendSkills,
}

/// The tool's future, on the heap: every caller would hold all tools' futures in its own frame, up to the worker's stack
/// limit of 2 MiB in a build without optimisation.
fn boxed<'a, T: Tool + 'a>(
    input: Box<T>,
    cx: &'a CallContext<'_>,
) -> Pin<Box<dyn Future<Output = Result<Answer, ToolError>> + Send + 'a>> {
    Box::pin(async move { input.run(cx).await?.into_answer() })
}

impl ToolName {
    /// The tool's entry in `tools/list`.
    #[must_use]
    pub fn describe(self) -> ToolDescription {
        description(self).clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_tool_has_both_schemas_and_a_unique_name() {
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
    fn unknown_arguments_wrong_types_and_nul_are_rejected() {
        for tool in ToolName::ALL {
            for arguments in [json!({"surprise": 1}), json!({"query": "a\u{0}b"})] {
                let rejection = parse(*tool, arguments).err();
                assert!(
                    matches!(rejection, Some(Rejection::InvalidArguments(_))),
                    "{}: {rejection:?}",
                    tool.as_str()
                );
            }
        }
    }

    fn parse(tool: ToolName, arguments: Value) -> Result<Call, Rejection> {
        Call::parse(tool, arguments.as_object().cloned().unwrap())
    }

    /// Valid arguments with a value for every argument that has a limit.
    fn valid_arguments(tool: ToolName) -> Value {
        let digest = format!("sha256:{}", "0".repeat(64));
        match tool {
            ToolName::SearchSkills => json!({
                "query": "forms", "tag": "pdf", "category": "office", "author": "Ada", "assistant": "codex", "min_stars": 1,
                "updated_since": "2026-01-31", "limit": 1, "cursor": "x"}),
            ToolName::GetSkill => json!({
                "skill": "fill-pdf", "version": "1", "file": "SKILL.md", "offset": 1, "max_chars": 100}),
            ToolName::InstallSkill => json!({
                "skill": "fill-pdf", "version": "1", "assistant": "codex", "max_chars": 1, "cursor": "x"}),
            ToolName::ConfirmInstall => json!({
                "install_id": "0190b2c4-5d6e-7f80-9a1b-2c3d4e5f6071",
                "files": [{"path": "SKILL.md", "digest": digest}], "machine": "laptop"}),
            ToolName::CheckInstalled => json!({
                "installed": [{"skill": "fill-pdf", "version": "1", "digest": digest,
                    "files": [{"path": "SKILL.md", "digest": digest}],
                    "install_id": "0190b2c4-5d6e-7f80-9a1b-2c3d4e5f6071", "found": "drifted"}],
                "machine": "laptop"}),
            ToolName::RecordUsage => json!({
                "skill": "fill-pdf", "version": "1", "outcome": "helped", "minutes_saved": 1, "tokens": 1,
                "comment": "x", "idempotency_key": "x"}),
            ToolName::UsageReport => json!({"days": 1, "top": 1}),
            ToolName::Recommend => json!({"text": "forms", "installed": ["fill-pdf"], "limit": 1}),
            ToolName::Whoami => json!({}),
            ToolName::RateSkill => json!({"skill": "fill-pdf", "stars": 5, "comment": "x"}),
            ToolName::PublishSkill => json!({
                "skill": "fill-pdf", "files": [{"path": "SKILL.md", "text": "x"}], "version": "1", "note": "x"}),
            ToolName::ReviewSkill => json!({
                "skill": "fill-pdf", "version": "1", "verdict": "approve", "comment": "x", "quality": 5, "clarity": 5,
                "completeness": 5, "decided_by": "person", "override_findings": "x"}),
            ToolName::ForkSkill => json!({"skill": "fill-pdf", "version": "1", "new_name": "fill-form"}),
            ToolName::UpdateSkill => json!({
                "skill": "fill-pdf", "action": "deprecate", "version": "1", "to": "fill-form", "note": "x"}),
            ToolName::YankSkill => json!({"skill": "fill-pdf", "version": "1", "reason": "x"}),
        }
    }

    /// Every limit in the schema of an object: the JSON pointer of the value, and values just inside and just outside.
    fn limits(schema: &Value, pointer: &str, value: &Value) -> Vec<(String, Value, Value)> {
        let number = |keyword: &str| schema.get(keyword).and_then(Value::as_i64);
        let length = |keyword: &str| number(keyword).map(|length| usize::try_from(length).unwrap());
        let text = |length: usize| json!("ä".repeat(length));
        let items = |length: usize| Value::Array(vec![value[0].clone(); length]);
        let mut limits = Vec::new();
        let mut limit = |inside: Value, outside: Value| limits.push((pointer.to_owned(), inside, outside));
        if let Some(min) = number("minimum") {
            limit(json!(min), json!(min - 1));
        }
        if let Some(max) = number("maximum") {
            limit(json!(max), json!(max + 1));
        }
        if let Some(min) = length("minLength") {
            limit(text(min), text(min - 1));
        }
        if let Some(max) = length("maxLength") {
            limit(text(max), text(max + 1));
        }
        if let Some(min) = length("minItems") {
            limit(items(min), items(min - 1));
        }
        if let Some(max) = length("maxItems") {
            limit(items(max), items(max + 1));
        }
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                limits.extend(self::limits(property, &format!("{pointer}/{name}"), &value[name]));
            }
        }
        if let Some(schema) = schema.get("items") {
            limits.extend(self::limits(schema, &format!("{pointer}/0"), &value[0]));
        }
        limits
    }

    #[test]
    fn every_limit_of_a_schema_is_enforced_and_named() {
        let mut checked = 0;
        for tool in ToolName::ALL {
            let schema = Value::Object((*tool.describe().input_schema).clone());
            let valid = valid_arguments(*tool);
            assert!(parse(*tool, valid.clone()).is_ok(), "{}", tool.as_str());
            for (pointer, inside, outside) in limits(&schema, "", &valid) {
                let with = |value: Value| {
                    let mut arguments = valid.clone();
                    *arguments.pointer_mut(&pointer).expect(&pointer) = value;
                    parse(*tool, arguments)
                };
                let Some(Rejection::InvalidArguments(message)) = with(outside).err() else {
                    panic!("{} accepts a value outside the limit of {pointer}", tool.as_str());
                };
                assert!(message.contains(" must "), "{message}");
                let name = pointer.rsplit('/').next().unwrap();
                assert!(message.contains(name), "{pointer}: {message}");
                // The limit itself may still break a rule that the schema cannot express, such as a valid UUID.
                if let Some(Rejection::InvalidArguments(message)) = with(inside).err() {
                    assert!(!message.contains(" must "), "{pointer}: {message}");
                }
                checked += 1;
            }
        }
        assert!(checked >= 40, "{checked}");
    }

    /// A keyword that [`arguments`] does not know would be shown to callers and not enforced.
    #[test]
    fn schemas_use_only_keywords_that_are_enforced() {
        const BY_SERDE: [&str; 9] = [
            "type",
            "properties",
            "required",
            "additionalProperties",
            "items",
            "enum",
            "oneOf",
            "const",
            "format",
        ];
        const ANNOTATIONS: [&str; 3] = ["$schema", "description", "default"];
        // Checked by `ConfirmInstall::check`.
        const BY_TOOL: [&str; 1] = ["pattern"];
        fn keywords(schema: &Value, found: &mut Vec<String>) {
            for (keyword, value) in schema.as_object().into_iter().flatten() {
                found.push(keyword.clone());
                match keyword.as_str() {
                    "properties" => value
                        .as_object()
                        .into_iter()
                        .flatten()
                        .for_each(|(_, property)| keywords(property, found)),
                    "items" => keywords(value, found),
                    "oneOf" => value
                        .as_array()
                        .into_iter()
                        .flatten()
                        .for_each(|choice| keywords(choice, found)),
                    _ => {}
                }
            }
        }
        for tool in ToolName::ALL {
            let mut found = Vec::new();
            keywords(
                &Value::Object((*tool.describe().input_schema).clone()),
                &mut found,
            );
            for keyword in found {
                let keyword = keyword.as_str();
                assert!(
                    arguments::LIMIT_KEYWORDS.contains(&keyword)
                        || BY_SERDE.contains(&keyword)
                        || ANNOTATIONS.contains(&keyword)
                        || BY_TOOL.contains(&keyword),
                    "{}: {keyword}",
                    tool.as_str()
                );
            }
        }
    }
}
