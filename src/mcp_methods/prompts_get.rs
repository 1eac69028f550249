//! `prompts/get`: a skill's instructions as a message to a model, or the prompt that teaches it to search first.

use rmcp::model::{GetPromptResult, JsonObject, PromptMessage, Role};
use serde_json::Value;

use super::prompts_list::SEARCH_FIRST;
use super::{Method, MethodAnswer, MethodError, skill_entry};
use crate::registry::{listing, versions};
use crate::tools::{CallContext, ToolName};
use agent_skills::SKILL_MD;

/// The longest argument, in characters.
const MAX_ARGUMENT_CHARS: usize = 20_000;

/// Which prompt, filled in with what.
pub struct PromptsGet {
    name: String,
    task: Option<String>,
    version: Option<String>,
    tag: Option<String>,
    /// An argument that is none of ours, or none that can be used.
    wrong: Option<String>,
}

impl PromptsGet {
    /// Takes the arguments as they were sent; what is wrong with them is told when it is run.
    #[must_use]
    pub fn new(name: String, arguments: Option<JsonObject>) -> Self {
        let mut prompt = Self {
            name,
            task: None,
            version: None,
            tag: None,
            wrong: None,
        };
        for (argument, value) in arguments.unwrap_or_default() {
            let Value::String(text) = value else {
                prompt.wrong = Some(format!("The argument \"{argument}\" is no text."));
                continue;
            };
            if text.chars().count() > MAX_ARGUMENT_CHARS || text.contains('\0') {
                prompt.wrong = Some(format!(
                    "The argument \"{argument}\" is longer than {MAX_ARGUMENT_CHARS} characters or has a NUL in it."
                ));
                continue;
            }
            let is_search = prompt.name == SEARCH_FIRST;
            match argument.as_str() {
                "task" => prompt.task = Some(text),
                "version" if !is_search => prompt.version = Some(text).filter(|text| !text.is_empty()),
                "tag" if is_search => prompt.tag = Some(text).filter(|text| !text.is_empty()),
                _ => prompt.wrong = Some(format!("This prompt has no argument \"{argument}\".")),
            }
        }
        prompt
    }

    fn check(&self) -> Result<(), MethodError> {
        match &self.wrong {
            Some(wrong) => Err(MethodError::InvalidParameters(wrong.clone())),
            None => Ok(()),
        }
    }

    fn unknown(&self) -> MethodError {
        let version = self
            .version
            .as_ref()
            .map(|version| format!(" with a version \"{version}\""));
        MethodError::InvalidParameters(format!(
            "There is no prompt \"{}\"{} in this registry. prompts/list shows what there is.",
            self.name,
            version.unwrap_or_default()
        ))
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
                .ok_or_else(|| {
                    MethodError::InvalidParameters(
                        "This prompt needs the argument \"task\": the task in plain words.".to_owned(),
                    )
                })?;
            return Ok(answer(search_first(task, self.tag.as_deref())));
        }
        if self.name.contains('\0') {
            return Err(self.unknown());
        }
        let version = self.version.as_deref();
        let (skill, skill_md) = futures::try_join!(
            listing::one(cx.tx, &self.name, version),
            versions::file(cx.tx, &self.name, version, SKILL_MD),
        )?;
        let skill = skill
            .filter(|skill| cx.principal.can_view_skill(&skill.found.slug))
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
        answer.subject = skill_entry::subject(&skill);
        Ok(answer)
    }
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
        "Before you work on the task below, look for a skill that somebody in this organisation has already written for it.\n\n\
         1. Call search_skills with the task in plain words{tag}. If nothing fits, try once more with other words.\n\
         2. Read the most promising hit with get_skill and file SKILL.md. Judge for yourself whether it fits; a skill that \
         does not is worse than none.\n\
         3. If it fits, follow it. If it brings files that you need, put them on disk with install_skill, and tell with \
         confirm_install what you wrote.\n\
         4. When you are done, tell with record_usage whether it helped, failed or was out of date.\n\
         5. If no skill fits, say so in one sentence and do the task without one.\n\n\
         The task:\n\n{task}\n"
    )
}

fn use_skill(skill: &listing::ListedSkill, skill_md: &str, task: Option<&str>) -> String {
    let found = &skill.found;
    let withdrawn = found.yanked.as_ref().map_or_else(String::new, |reason| {
        format!("This version was withdrawn: {reason}\n\n")
    });
    let task = task
        .filter(|task| !task.trim().is_empty())
        .map_or_else(String::new, |task| {
            format!("\n\nFollow the skill for this task:\n\n{task}\n")
        });
    format!(
        "The following is the skill \"{slug}\", version {version}, from this organisation's registry. Files that it names are \
         read with get_skill, or put on disk with install_skill. Afterwards tell with record_usage whether it helped.\n\n\
         {withdrawn}<skill name=\"{slug}\" version=\"{version}\">\n{skill_md}\n</skill>{task}",
        slug = found.slug,
        version = found.version,
    )
}
