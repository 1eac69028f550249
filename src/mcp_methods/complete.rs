//! `completion/complete`: completes slugs, versions, names and paths of the resource template, versions of prompts, and tags.

use std::collections::BTreeSet;

use rmcp::model::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference};

use super::error::{InvalidParameter, MethodError};
use super::method::{Method, MethodAnswer, may_browse};
use super::prompts_list::SEARCH_FIRST;
use crate::db::DbError;
use crate::registry::caller::Viewer;
use crate::registry::skill_uri::SkillUri;
use crate::registry::{listing, versions};
use crate::tools::{CallContext, ToolName};

/// Number of the newest versions that are considered; older ones are neither returned nor counted.
const MAX_VERSIONS: i64 = 10_000;

pub struct Complete(pub CompleteRequestParams);

/// What to complete. Fields are the slug, and the version if the client sent one.
enum Target<'a> {
    Skills,
    Tags,
    Versions(&'a str),
    Names(&'a str, Option<&'a str>),
    Paths(&'a str, Option<&'a str>),
    /// Free text, or an argument that depends on one that the client has not sent.
    Nothing,
}

impl Complete {
    fn target(&self) -> Result<Target<'_>, InvalidParameter> {
        let argument = self.0.argument.name.as_str();
        match &self.0.r#ref {
            Reference::Prompt(prompt) if prompt.name == SEARCH_FIRST => match argument {
                "tag" => Ok(Target::Tags),
                "task" => Ok(Target::Nothing),
                _ => Err(InvalidParameter::UnknownPromptArgument(argument.to_owned())),
            },
            Reference::Prompt(prompt) => match argument {
                "version" => Ok(Target::Versions(&prompt.name)),
                "task" => Ok(Target::Nothing),
                _ => Err(InvalidParameter::UnknownPromptArgument(argument.to_owned())),
            },
            Reference::Resource(resource) if resource.uri == SkillUri::TEMPLATE => {
                let sent = |name: &str| {
                    let arguments = self.0.context.as_ref()?.arguments.as_ref()?;
                    arguments.get(name).map(String::as_str)
                };
                Ok(match (argument, sent("skill")) {
                    ("skill", _) => Target::Skills,
                    ("version", Some(skill)) => Target::Versions(skill),
                    ("name", Some(skill)) => Target::Names(skill, sent("version")),
                    ("path", Some(skill)) => Target::Paths(skill, sent("version")),
                    ("version" | "name" | "path", None) => Target::Nothing,
                    _ => return Err(InvalidParameter::UnknownTemplateArgument(argument.to_owned())),
                })
            }
            Reference::Resource(_) => Err(InvalidParameter::UnknownTemplate),
            _ => Err(InvalidParameter::NotCompletable),
        }
    }
}

impl Method for Complete {
    const NAME: &'static str = "completion/complete";
    const REQUIRED_PERMISSION: ToolName = ToolName::SearchSkills;
    type Reply = CompleteResult;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<MethodAnswer<CompleteResult>, MethodError> {
        let target = self.target()?;
        let values = if may_browse(cx.principal) {
            values(cx, target).await?
        } else {
            Vec::new()
        };
        let matches = matching(values, &self.0.argument.value);
        let total = u32::try_from(matches.len()).ok();
        let has_more = matches.len() > CompletionInfo::MAX_VALUES;
        let values = matches.into_iter().take(CompletionInfo::MAX_VALUES).collect();
        let info = CompletionInfo::with_pagination(values, total, has_more)
            // rmcp rejects more than `MAX_VALUES`, which `take` above rules out.
            .map_err(DbError::Corrupt)?;
        Ok(MethodAnswer::new(CompleteResult::new(info)))
    }
}

async fn values(cx: &CallContext<'_>, target: Target<'_>) -> Result<Vec<String>, DbError> {
    let can_view_skill = |slug: &str| cx.principal.can_view_skill(slug) && !slug.contains('\0');
    let no_nul = |version: Option<&str>| version.is_none_or(|version| !version.contains('\0'));
    let revision = Some(cx.principal.catalog_revision);
    Ok(match target {
        Target::Skills => {
            let catalog = cx.search.current(cx.tx, revision).await?;
            let slugs = catalog.in_order(None).map(|(_, facets)| facets.slug);
            slugs
                .filter(|slug| can_view_skill(slug))
                .map(str::to_owned)
                .collect()
        }
        Target::Tags => {
            let catalog = cx.search.current(cx.tx, revision).await?;
            let tags: BTreeSet<String> = catalog
                .in_order(None)
                .filter(|(_, facets)| can_view_skill(facets.slug))
                .flat_map(|(_, facets)| facets.tags().map(str::to_owned))
                .collect();
            tags.into_iter().collect()
        }
        Target::Versions(slug) if can_view_skill(slug) => {
            versions::list(cx.tx, slug, MAX_VERSIONS, Viewer::PUBLISHED)
                .await?
                .into_iter()
                .map(|version| version.version)
                .collect()
        }
        Target::Names(slug, version) if can_view_skill(slug) && no_nul(version) => {
            let skill = listing::get_version(cx.tx, slug, version).await?;
            let folder = skill.and_then(|skill| skill.folder());
            folder
                .map(|folder| folder.name().to_owned())
                .into_iter()
                .collect()
        }
        Target::Paths(slug, version) if can_view_skill(slug) && no_nul(version) => {
            let manifest = versions::files(cx.tx, slug, version, Viewer::PUBLISHED).await?;
            manifest.into_iter().map(|file| file.path).collect()
        }
        Target::Versions(_) | Target::Names(..) | Target::Paths(..) | Target::Nothing => Vec::new(),
    })
}

/// The values that start with the typed text, then the others that contain it, each in their original order. Case is
/// ignored.
fn matching(values: Vec<String>, typed: &str) -> Vec<String> {
    let typed = typed.to_lowercase();
    let (mut matches, others): (Vec<_>, Vec<_>) = values
        .into_iter()
        .filter(|value| value.to_lowercase().contains(&typed))
        .partition(|value| value.to_lowercase().starts_with(&typed));
    matches.extend(others);
    matches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_start_with_the_text_come_first() {
        let values = ["fill-pdf", "pdf-forms", "PDF", "docx"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(matching(values.clone(), "pdf"), ["pdf-forms", "PDF", "fill-pdf"]);
        assert_eq!(matching(values.clone(), ""), values);
        assert_eq!(matching(values, "\\"), Vec::<String>::new());
    }
}
