//! `skills/get` (Skills extension, SEP-2640): a version of a skill by the URI of its `SKILL.md`.

use rmcp::model::{CacheScope, GetSkillResult};

use super::error::{MethodError, UriKind};
use super::method::{Method, MethodAnswer, VERSION_TTL_MS};
use super::skill_entry;
use crate::registry::caller::Viewer;
use crate::registry::skill_uri::SkillUri;
use crate::registry::versions;
use crate::tools::{CallContext, ToolName};
use agent_skills::SKILL_MD;

pub struct SkillsGet {
    /// The URI of the version's `SKILL.md`.
    pub uri: String,
}

impl Method for SkillsGet {
    const NAME: &'static str = "skills/get";
    const REQUIRED_PERMISSION: ToolName = ToolName::GetSkill;
    type Reply = GetSkillResult;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        vec![("uri", &self.uri)]
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<MethodAnswer<GetSkillResult>, MethodError> {
        let unknown = || MethodError::UnknownUri {
            kind: UriKind::Skill,
            uri: self.uri.clone(),
        };
        let uri = SkillUri::parse(&self.uri)
            .filter(|uri| uri.path() == SKILL_MD)
            .ok_or_else(unknown)?;
        // Both queries find the version by its slug and label, so that they share one round trip.
        let (found, manifest) = futures::try_join!(skill_entry::find(cx, &uri), async {
            Ok(versions::files(cx.tx, uri.slug(), Some(uri.version()), Viewer::PUBLISHED).await?)
        })?;
        let (skill, _) = found.ok_or_else(unknown)?;
        let entry = skill_entry::entry(&skill, &manifest).ok_or_else(unknown)?;
        let reply = GetSkillResult::new(entry)
            .with_ttl_ms(VERSION_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        let bytes = serde_json::to_vec(&reply.skill).map_or(0, |json| json.len());
        Ok(MethodAnswer {
            reply,
            subject: skill.resolved.subject(),
            bytes,
        })
    }
}
