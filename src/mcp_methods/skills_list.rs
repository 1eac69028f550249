//! `skills/list` of the Skills extension (SEP-2640): every skill in its latest version, with its files and digests.

use rmcp::model::{CacheScope, ListSkillsResult};

use super::{LIST_TTL_MS, Method, MethodAnswer, MethodError, pagination, skill_entry};
use crate::registry::listing;
use crate::tools::{CallContext, ToolName};

/// Skills on a page. Each may have 512 files, so it is a smaller page than those of other lists.
const PAGE: usize = 50;

/// Which page.
pub struct SkillsList {
    /// The cursor that the page before gave.
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
        let page = pagination::read(cx, Self::NAME, self.cursor.as_deref(), PAGE).await?;
        let versions: Vec<_> = page.skills.iter().map(|skill| skill.found.version_id).collect();
        let manifests = listing::manifests(cx.tx, &versions).await?;
        // One skill that breaks a rule is left out and spoils nothing.
        let skills = page
            .skills
            .iter()
            .filter_map(|skill| skill_entry::entry(skill, manifests.get(&skill.found.version_id)?))
            .collect();
        let mut reply = ListSkillsResult::with_all_items(skills)
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        reply.next_cursor = page.next_cursor;
        Ok(MethodAnswer::new(reply))
    }
}
