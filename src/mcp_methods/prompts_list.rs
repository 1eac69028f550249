//! `prompts/list`: the prompts `search_first` and `review_skill`, and each skill as a prompt.

use rmcp::model::{CacheScope, ListPromptsResult, Prompt, PromptArgument};

use super::error::MethodError;
use super::method::{LIST_TTL_MS, Method, MethodAnswer};
use super::{pagination, review_prompt, skill_entry};
use crate::tools::{CallContext, ToolName};

/// Skills per page.
const PAGE_SIZE: usize = 100;

/// The prompt that tells a model to search before it starts to work. No skill can have this name: slugs have no underscores.
pub(super) const SEARCH_FIRST: &str = "search_first";

pub struct PromptsList {
    /// From the previous page.
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
        let page = pagination::read(cx, Self::NAME, self.cursor.as_deref(), PAGE_SIZE).await?;
        let mut prompts = Vec::with_capacity(page.skills.len() + 2);
        if page.is_first {
            prompts.push(search_first());
            prompts.extend(review_prompt::entry(cx));
        }
        prompts.extend(page.skills.iter().map(|skill| {
            Prompt::new(
                &skill.resolved.slug,
                Some(&skill.description),
                Some(vec![
                    PromptArgument::new("task").with_description("The task to use the skill for"),
                    PromptArgument::new("version").with_description("The version; the latest if omitted"),
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
        Some("Search your organisation's skills for one that fits the task before you start to work on it"),
        Some(vec![
            PromptArgument::new("task")
                .with_description("The task in plain words")
                .with_required(true),
            PromptArgument::new("tag").with_description("Only skills with this tag"),
        ]),
    )
    .with_title("Search before you work")
}
