//! `prompts/list`: one prompt that teaches to search first, and each skill as a prompt of its own.

use rmcp::model::{CacheScope, ListPromptsResult, Prompt, PromptArgument};

use super::{LIST_TTL_MS, Method, MethodAnswer, MethodError, pagination, skill_entry};
use crate::tools::{CallContext, ToolName};

/// Skills on a page.
const PAGE: usize = 100;

/// The prompt that teaches a model to search before it works. No skill can have this name: slugs have no underscores.
pub(super) const SEARCH_FIRST: &str = "search_first";

/// Which page.
pub struct PromptsList {
    /// The cursor that the page before gave.
    pub cursor: Option<String>,
}

impl Method for PromptsList {
    const NAME: &'static str = "prompts/list";
    const REQUIRED_PERMISSION: ToolName = ToolName::SearchSkills;
    type Reply = ListPromptsResult;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<MethodAnswer<ListPromptsResult>, MethodError> {
        let page = pagination::read(cx, Self::NAME, self.cursor.as_deref(), PAGE).await?;
        let mut prompts = Vec::with_capacity(page.skills.len() + 1);
        if page.is_first {
            prompts.push(search_first());
        }
        prompts.extend(page.skills.iter().map(|skill| {
            Prompt::new(
                &skill.found.slug,
                Some(&skill.description),
                Some(vec![
                    PromptArgument::new("task").with_description("What to use the skill for"),
                    PromptArgument::new("version").with_description("The version; the latest when left out"),
                ]),
            )
            .with_title(&skill.name)
            .with_meta(skill_entry::meta(skill))
        }));
        let mut reply = ListPromptsResult::with_all_items(prompts)
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        reply.next_cursor = page.next_cursor;
        Ok(MethodAnswer::new(reply))
    }
}

fn search_first() -> Prompt {
    Prompt::new(
        SEARCH_FIRST,
        Some("Look for a skill of your organisation that fits the task, before starting to work on it"),
        Some(vec![
            PromptArgument::new("task")
                .with_description("The task in plain words")
                .with_required(true),
            PromptArgument::new("tag").with_description("Only skills with this tag"),
        ]),
    )
    .with_title("Search before you work")
}
