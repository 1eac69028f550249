//! `completion/complete`: skill names, versions and paths for the resource template and the prompts, and tags.

use std::collections::BTreeSet;

use rmcp::model::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference};

use super::prompts_list::SEARCH_FIRST;
use super::resources_list::TEMPLATE;
use super::{Method, MethodAnswer, MethodError, may_browse};
use crate::db::DbError;
use crate::registry::{listing, versions};
use crate::tools::{CallContext, ToolName};

/// Versions that are looked through; what lies beyond is neither offered nor counted.
const MAX_VERSIONS: i64 = 10_000;

/// What is to be completed.
pub struct Complete(pub CompleteRequestParams);

/// An argument that has values to offer.
enum Wanted<'a> {
    Skills,
    Tags,
    Versions(&'a str),
    Names(&'a str, Option<&'a str>),
    Paths(&'a str, Option<&'a str>),
    /// The argument is free text, or what it depends on is not known yet.
    Nothing,
}

impl Complete {
    fn wanted(&self) -> Result<Wanted<'_>, MethodError> {
        let argument = self.0.argument.name.as_str();
        match &self.0.r#ref {
            Reference::Prompt(prompt) if prompt.name == SEARCH_FIRST => match argument {
                "tag" => Ok(Wanted::Tags),
                "task" => Ok(Wanted::Nothing),
                _ => Err(no_argument("This prompt", argument)),
            },
            Reference::Prompt(prompt) => match argument {
                "version" => Ok(Wanted::Versions(&prompt.name)),
                "task" => Ok(Wanted::Nothing),
                _ => Err(no_argument("This prompt", argument)),
            },
            Reference::Resource(resource) if resource.uri == TEMPLATE => {
                let known = |name: &str| {
                    let arguments = self.0.context.as_ref()?.arguments.as_ref()?;
                    arguments.get(name).map(String::as_str)
                };
                Ok(match (argument, known("skill")) {
                    ("skill", _) => Wanted::Skills,
                    ("version", Some(skill)) => Wanted::Versions(skill),
                    ("name", Some(skill)) => Wanted::Names(skill, known("version")),
                    ("path", Some(skill)) => Wanted::Paths(skill, known("version")),
                    ("version" | "name" | "path", None) => Wanted::Nothing,
                    _ => return Err(no_argument("This template", argument)),
                })
            }
            Reference::Resource(_) => Err(MethodError::InvalidParameters(format!(
                "There is no such template in this registry; the one that there is is {TEMPLATE}."
            ))),
            _ => Err(MethodError::InvalidParameters(
                "Only prompts and resource templates have arguments to complete.".to_owned(),
            )),
        }
    }
}

fn no_argument(what: &str, argument: &str) -> MethodError {
    MethodError::InvalidParameters(format!("{what} has no argument \"{argument}\"."))
}

impl Method for Complete {
    const NAME: &'static str = "completion/complete";
    const REQUIRED_PERMISSION: ToolName = ToolName::SearchSkills;
    type Reply = CompleteResult;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<MethodAnswer<CompleteResult>, MethodError> {
        let wanted = self.wanted()?;
        let values = if may_browse(cx.principal) {
            values(cx, wanted).await?
        } else {
            Vec::new()
        };
        let chosen = matching(values, &self.0.argument.value);
        let total = u32::try_from(chosen.len()).ok();
        let has_more = chosen.len() > CompletionInfo::MAX_VALUES;
        let shown = chosen.into_iter().take(CompletionInfo::MAX_VALUES).collect();
        let info = CompletionInfo::with_pagination(shown, total, has_more)
            .map_err(MethodError::InvalidParameters)?;
        Ok(MethodAnswer::new(CompleteResult::new(info)))
    }
}

async fn values(cx: &CallContext<'_>, wanted: Wanted<'_>) -> Result<Vec<String>, DbError> {
    let can_view_skill = |slug: &str| cx.principal.can_view_skill(slug) && !slug.contains('\0');
    let no_nul = |version: Option<&str>| version.is_none_or(|version| !version.contains('\0'));
    Ok(match wanted {
        Wanted::Skills => {
            let catalog = cx.search.current(cx.tx, cx.principal).await?;
            let slugs = catalog.in_order(None).map(|(slug, _)| slug.to_owned());
            slugs.filter(|slug| can_view_skill(slug)).collect()
        }
        Wanted::Tags => {
            let catalog = cx.search.current(cx.tx, cx.principal).await?;
            let tags: BTreeSet<String> = catalog
                .in_order(None)
                .filter(|(slug, _)| can_view_skill(slug))
                .filter_map(|(_, skill)| catalog.facets(skill))
                .flat_map(|facets| facets.tags.iter().cloned())
                .collect();
            tags.into_iter().collect()
        }
        Wanted::Versions(slug) if can_view_skill(slug) => versions::list(cx.tx, slug, MAX_VERSIONS)
            .await?
            .into_iter()
            .map(|line| line.version)
            .collect(),
        Wanted::Names(slug, version) if can_view_skill(slug) && no_nul(version) => {
            let skill = listing::one(cx.tx, slug, version).await?;
            let folder = skill.and_then(|skill| skill.folder());
            folder
                .map(|folder| folder.name().to_owned())
                .into_iter()
                .collect()
        }
        Wanted::Paths(slug, version) if can_view_skill(slug) && no_nul(version) => {
            let manifest = versions::files(cx.tx, slug, version).await?;
            manifest.into_iter().map(|file| file.path).collect()
        }
        Wanted::Versions(_) | Wanted::Names(..) | Wanted::Paths(..) | Wanted::Nothing => Vec::new(),
    })
}

/// Those that begin with what was typed, then those that only contain it, each in the order that they came in.
fn matching(values: Vec<String>, typed: &str) -> Vec<String> {
    let typed = typed.to_lowercase();
    let (mut first, rest): (Vec<_>, Vec<_>) = values
        .into_iter()
        .filter(|value| value.to_lowercase().contains(&typed))
        .partition(|value| value.to_lowercase().starts_with(&typed));
    first.extend(rest);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_the_typed_text_comes_first() {
        let values = ["fill-pdf", "pdf-forms", "PDF", "docx"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(matching(values.clone(), "pdf"), ["pdf-forms", "PDF", "fill-pdf"]);
        assert_eq!(matching(values.clone(), ""), values);
        assert_eq!(matching(values, "\\"), Vec::<String>::new());
    }
}
