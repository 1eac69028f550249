//! `resources/list`: the `SKILL.md` of every skill in its latest version; and `resources/templates/list`. Clients find the other
//! files of a skill with `resources/directory/read` or `skills/get`.

use rmcp::model::{CacheScope, ListResourceTemplatesResult, ListResourcesResult, Resource, ResourceTemplate};

use super::error::MethodError;
use super::method::{LIST_TTL_MS, Method, MethodAnswer};
use super::{pagination, skill_entry};
use crate::registry::skill_uri::SkillUri;
use crate::tools::{CallContext, ToolName};

/// Skills per page. Few, because many clients read every page into a menu or a model.
const PAGE_SIZE: usize = 25;

pub struct ResourcesList {
    /// From the previous page.
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
        let page = pagination::read(cx, Self::NAME, self.cursor.as_deref(), PAGE_SIZE).await?;
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

/// The reply to `resources/templates/list`, the same for every caller.
#[must_use]
pub fn resource_templates() -> ListResourceTemplatesResult {
    let template = ResourceTemplate::new(SkillUri::TEMPLATE, "skill-file")
        .with_title("A file of a skill")
        .with_description(
            "A file of one version of a skill; a version never changes. `skill` is the slug, `name` the name in the front \
             matter. The instructions are at the path SKILL.md.",
        );
    ListResourceTemplatesResult::with_all_items(vec![template])
        .with_ttl_ms(LIST_TTL_MS)
        .with_cache_scope(CacheScope::Private)
}
