//! `prompts/get`: a skill's instructions as a prompt, or one of the prompts `search_first` and `review_skill`.

use rmcp::model::{GetPromptResult, JsonObject, PromptMessage, Role};
use serde_json::Value;

use super::error::{InvalidParameter, MethodError};
use super::method::{Method, MethodAnswer};
use super::prompts_list::SEARCH_FIRST;
use super::review_prompt::{self, REVIEW_SKILL};
use crate::registry::caller::Viewer;
use crate::registry::{listing, versions};
use crate::tools::{CallContext, ToolName};
use agent_skills::SKILL_MD;

/// The longest argument, in characters.
const MAX_ARGUMENT_CHARS: usize = 20_000;

pub struct PromptsGet {
    name: String,
    task: Option<String>,
    version: Option<String>,
    tag: Option<String>,
    /// The skill to review.
    skill: Option<String>,
    /// An invalid argument. Reported only once the prompt is found, so that it does not reveal which prompts exist.
    invalid: Option<InvalidParameter>,
}

impl PromptsGet {
    /// Takes the arguments as the client sent them; [`Method::run`] reports invalid ones.
    #[must_use]
    pub fn new(name: String, arguments: Option<JsonObject>) -> Self {
        let mut prompt = Self {
            name,
            task: None,
            version: None,
            tag: None,
            skill: None,
            invalid: None,
        };
        for (argument, value) in arguments.unwrap_or_default() {
            let Value::String(text) = value else {
                prompt.invalid = Some(InvalidParameter::NotString(argument));
                continue;
            };
            if text.chars().count() > MAX_ARGUMENT_CHARS || text.contains('\0') {
                prompt.invalid = Some(InvalidParameter::UnusableArgument {
                    argument,
                    max_chars: MAX_ARGUMENT_CHARS,
                });
                continue;
            }
            let (is_search, is_review) = (prompt.name == SEARCH_FIRST, prompt.name == REVIEW_SKILL);
            match argument.as_str() {
                "task" if !is_review => prompt.task = Some(text),
                "skill" if is_review => prompt.skill = Some(text),
                "version" if !is_search => prompt.version = Some(text).filter(|text| !is_latest(text)),
                "tag" if is_search => prompt.tag = Some(text).filter(|text| !text.is_empty()),
                _ => prompt.invalid = Some(InvalidParameter::UnknownPromptArgument(argument)),
            }
        }
        prompt
    }

    fn check(&self) -> Result<(), InvalidParameter> {
        self.invalid.clone().map_or(Ok(()), Err)
    }

    fn unknown(&self) -> InvalidParameter {
        InvalidParameter::UnknownPrompt {
            name: self.name.clone(),
            version: self.version.clone(),
        }
    }
}

impl Method for PromptsGet {
    const NAME: &'static str = "prompts/get";
    const REQUIRED_PERMISSION: ToolName = ToolName::GetSkill;
    type Reply = GetPromptResult;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        let optional = [
            ("task", &self.task),
            ("version", &self.version),
            ("tag", &self.tag),
            ("skill", &self.skill),
        ];
        std::iter::once(("name", self.name.as_str()))
            .chain(
                optional
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value.as_deref()?))),
            )
            .collect()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<MethodAnswer<GetPromptResult>, MethodError> {
        if self.name == SEARCH_FIRST {
            self.check()?;
            let task = self
                .task
                .as_deref()
                .filter(|task| !task.trim().is_empty())
                .ok_or(InvalidParameter::MissingTask)?;
            return Ok(answer(search_first(task, self.tag.as_deref())));
        }
        if self.name == REVIEW_SKILL {
            return self.review(cx).await;
        }
        if self.name.contains('\0') {
            return Err(self.unknown().into());
        }
        let version = self.version.as_deref();
        if cx.is_hidden(&self.name, version).await? {
            return Err(self.unknown().into());
        }
        let (skill, skill_md) = futures::try_join!(
            listing::get_version(cx.tx, &self.name, version),
            versions::file(cx.tx, &self.name, version, SKILL_MD, Viewer::PUBLISHED),
        )?;
        let skill = skill
            .filter(|skill| cx.principal.can_view_skill(&skill.resolved.slug))
            .ok_or_else(|| self.unknown())?;
        let skill_md = skill_md.ok_or_else(|| self.unknown())?;
        self.check()?;
        let text = use_skill(
            &skill,
            &String::from_utf8_lossy(&skill_md.bytes),
            self.task.as_deref(),
        );
        let mut answer = answer(text);
        answer.reply = answer.reply.with_description(&skill.description);
        answer.subject = skill.resolved.subject();
        Ok(answer)
    }
}

impl PromptsGet {
    async fn review(self, cx: &CallContext<'_>) -> Result<MethodAnswer<GetPromptResult>, MethodError> {
        let unknown = InvalidParameter::UnknownPrompt {
            name: self.skill.clone().unwrap_or_else(|| self.name.clone()),
            version: self.version.clone(),
        };
        if !ToolName::ReviewSkill.allowed_for(cx.principal) {
            return Err(self.unknown().into());
        }
        self.check()?;
        let skill = self.skill.as_deref().ok_or(InvalidParameter::MissingSkill)?;
        let (text, subject) = review_prompt::text(cx, skill, self.version.as_deref(), unknown).await?;
        let mut answer = answer(text);
        answer.subject = subject;
        Ok(answer)
    }
}

/// Whether a version argument means the latest version, as in the tools.
fn is_latest(version: &str) -> bool {
    version.is_empty() || version.eq_ignore_ascii_case("latest")
}

fn answer(text: String) -> MethodAnswer<GetPromptResult> {
    let bytes = text.len();
    let mut answer = MethodAnswer::new(GetPromptResult::new(vec![PromptMessage::new_text(
        Role::User,
        text,
    )]));
    answer.bytes = bytes;
    answer
}

fn search_first(task: &str, tag: Option<&str>) -> String {
    let tag = tag.map_or_else(String::new, |tag| format!(" and the tag \"{tag}\""));
    format!(
        "Before you work on the task below, search for a skill that someone in this organisation has already written for it.\n\n\
         1. Call search_skills with the task in plain words{tag}. If nothing fits, try once more with other words.\n\
         2. Read the best hit: call get_skill with file SKILL.md. Decide whether it fits; a skill that does not fit is worse \
         than none.\n\
         3. If it fits, follow it. If you need its files, call install_skill, write the files to disk, and report them with \
         confirm_install.\n\
         4. When you are done, report with record_usage whether the skill helped, failed or is out of date.\n\
         5. If no skill fits, say so in one sentence and do the task without one.\n\n\
         The task:\n\n{task}\n"
    )
}

fn use_skill(skill: &listing::ListedSkill, skill_md: &str, task: Option<&str>) -> String {
    let resolved = &skill.resolved;
    let withdrawn = resolved.yanked.as_ref().map_or_else(String::new, |reason| {
        format!("This version was withdrawn: {reason}\n\n")
    });
    let task = task
        .filter(|task| !task.trim().is_empty())
        .map_or_else(String::new, |task| {
            format!("\n\nFollow the skill for this task:\n\n{task}\n")
        });
    format!(
        "The following is version {version} of the skill \"{slug}\" from this organisation's registry. Read the files that it \
         names with get_skill, or write them to disk with install_skill. Afterwards report with record_usage whether it helped.\n\n\
         {withdrawn}<skill name=\"{slug}\" version=\"{version}\">\n{skill_md}\n</skill>{task}",
        slug = resolved.slug,
        version = resolved.version,
    )
}
