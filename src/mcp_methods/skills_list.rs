//! `skills/list` (Skills extension, SEP-2640): every skill in its latest version, with its files and digests.

use rmcp::model::{CacheScope, ListSkillsResult};

use super::error::MethodError;
use super::method::{LIST_TTL_MS, Method, MethodAnswer};
use super::{pagination, skill_entry};
use crate::registry::listing;
use crate::tools::{CallContext, ToolName};

/// Skills per page. Few, because each skill lists up to 512 files.
const PAGE_SIZE: usize = 25;

pub struct SkillsList {
    /// From the previous page.
    pub cursor: Option<String>,
}

impl Method for SkillsList {
    const NAME: &'static str = "skills/list";
    const REQUIRED_PERMISSION: ToolName = ToolName::SearchSkills;
    type Reply = ListSkillsResult;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<MethodAnswer<ListSkillsResult>, MethodError> {
        let page = pagination::read(cx, Self::NAME, self.cursor.as_deref(), PAGE_SIZE).await?;
        let versions: Vec<_> = page
            .skills
            .iter()
            .map(|skill| skill.resolved.version_id)
            .collect();
        let manifests = listing::manifests(cx.tx, &versions).await?;
        // A skill that violates the extension's rules is left out; the others are still listed.
        let skills = page
            .skills
            .iter()
            .filter_map(|skill| skill_entry::entry(skill, manifests.get(&skill.resolved.version_id)?))
            .collect();
        let mut reply = ListSkillsResult::with_all_items(skills)
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        reply.next_cursor = page.next_cursor;
        Ok(MethodAnswer::new(reply))
    }
}
