//! `resources/list` and the template beside it: the `SKILL.md` of every skill in its latest version. What else a skill
//! has is found from there, by its directory or by the Skills extension.

use rmcp::model::{CacheScope, ListResourceTemplatesResult, ListResourcesResult, Resource, ResourceTemplate};

use super::{LIST_TTL_MS, Method, MethodAnswer, MethodError, pagination, skill_entry};
use crate::tools::{CallContext, ToolName};

/// Skills on a page.
const PAGE: usize = 100;

/// The template of every file's URI (RFC 6570).
pub(super) const TEMPLATE: &str = "skill://{skill}/{version}/{name}/{+path}";

/// Which page.
pub struct ResourcesList {
    /// The cursor that the page before gave.
    pub cursor: Option<String>,
}

impl Method for ResourcesList {
    const NAME: &'static str = "resources/list";
    const REQUIRED_PERMISSION: ToolName = ToolName::SearchSkills;
    type Reply = ListResourcesResult;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<MethodAnswer<ListResourcesResult>, MethodError> {
        let page = pagination::read(cx, Self::NAME, self.cursor.as_deref(), PAGE).await?;
        let resources = page
            .skills
            .iter()
            .filter_map(|skill| {
                let folder = skill.folder()?;
                Some(
                    Resource::new(folder.skill_md().to_string(), folder.name())
                        .with_title(&skill.name)
                        .with_description(&skill.description)
                        .with_mime_type("text/markdown")
                        .with_meta(skill_entry::meta(skill)),
                )
            })
            .collect();
        let mut reply = ListResourcesResult::with_all_items(resources)
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        reply.next_cursor = page.next_cursor;
        Ok(MethodAnswer::new(reply))
    }
}

/// `resources/templates/list`: the one form that every URI of ours has. The same for every caller.
#[must_use]
pub fn resource_templates() -> ListResourceTemplatesResult {
    let template = ResourceTemplate::new(TEMPLATE, "skill-file")
        .with_title("A file of a skill")
        .with_description(
            "A file of one version of a skill; a version never changes. `skill` is the slug and `name` what the skill calls \
             itself. The path of its instructions is SKILL.md.",
        );
    ListResourceTemplatesResult::with_all_items(vec![template])
        .with_ttl_ms(LIST_TTL_MS)
        .with_cache_scope(CacheScope::Private)
}
