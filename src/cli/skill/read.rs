//! The commands that read skills.

use serde_json::json;

use super::super::database::{self, db_failure};
use super::super::output;
use super::{SkillCommand, VersionArgs, manage_failure};
use crate::config::Config;
use crate::db::TenantTx;
use crate::error::{CliError, CliErrorKind};
use crate::registry::caller::Caller;
use crate::registry::{denylist, overview, reviews, skills, versions};
use crate::search::SearchCache;

/// The most skills that `list` reads at once.
const PAGE: i64 = 500;
const MAX_VERSIONS: i64 = 1_000;
const MAX_REVIEWS: i64 = 20;
/// The longest difference that `diff` prints, in characters.
const MAX_DIFFERENCE_CHARS: usize = 1_000_000;

pub(super) const fn is_read(command: &SkillCommand) -> bool {
    matches!(
        command,
        SkillCommand::List { .. }
            | SkillCommand::Show { .. }
            | SkillCommand::Search { .. }
            | SkillCommand::Files { .. }
            | SkillCommand::Diff { .. }
            | SkillCommand::History { .. }
    )
}

pub(super) async fn run(config: &Config, tx: &TenantTx, command: SkillCommand) -> Result<(), CliError> {
    match command {
        SkillCommand::List { archived, .. } => list(config, tx, archived).await,
        SkillCommand::Show { version } => show(config, tx, &version).await,
        SkillCommand::Search { words, limit, .. } => search(config, tx, &words.join(" "), limit).await,
        SkillCommand::Files { version } => files(config, tx, &version).await,
        SkillCommand::Diff { skill, from, to, .. } => diff(config, tx, &skill, &from, &to).await,
        SkillCommand::History { skill, .. } => history(config, tx, &skill).await,
        SkillCommand::Fork { .. }
        | SkillCommand::Submit { .. }
        | SkillCommand::Yank { .. }
        | SkillCommand::Archive { .. }
        | SkillCommand::Restore { .. }
        | SkillCommand::Remove { .. }
        | SkillCommand::Rename { .. }
        | SkillCommand::Transfer { .. }
        | SkillCommand::Deprecate { .. }
        | SkillCommand::Override { .. }
        | SkillCommand::Rescan { .. }
        | SkillCommand::Purge { .. }
        | SkillCommand::Publish(_) => Err(CliError::new(
            CliErrorKind::Internal,
            "this command reads no skill",
        )),
    }
}

fn caller() -> Caller {
    Caller::administrator(database::operator())
}

async fn list(config: &Config, tx: &TenantTx, archived: bool) -> Result<(), CliError> {
    let mut skills: Vec<overview::SkillRow> = Vec::new();
    loop {
        let after = skills
            .last()
            .map_or_else(String::new, |skill| skill.skill.clone());
        let page = overview::page(tx, &after, archived, PAGE)
            .await
            .map_err(db_failure)?;
        let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        skills.extend(page);
        if is_last {
            break;
        }
    }
    if config.json {
        return output::json(&skills);
    }
    let rows = skills
        .into_iter()
        .map(|skill| {
            let mut state = vec![skill.status.clone()];
            let counts = [(skill.in_review, "in review"), (skill.quarantined, "quarantined")];
            state.extend(
                counts
                    .iter()
                    .filter(|(count, _)| *count > 0)
                    .map(|(count, what)| format!("{count} {what}")),
            );
            if skill.deprecated {
                state.push("deprecated".to_owned());
            }
            vec![
                skill.skill,
                skill.version.unwrap_or_else(|| "-".to_owned()),
                state.join(", "),
                skill.owner.unwrap_or_else(|| "-".to_owned()),
                skill
                    .stars
                    .map_or_else(|| "-".to_owned(), |stars| format!("{stars:.1}")),
                skill.installs.to_string(),
                output::timestamp(skill.updated_at),
            ]
        })
        .collect();
    output::table(
        &[
            "skill", "latest", "state", "owner", "stars", "installs", "updated",
        ],
        rows,
        "The tenant has no skill. `skillkeep import FOLDER` imports skills.",
    )
}

async fn show(config: &Config, tx: &TenantTx, args: &VersionArgs) -> Result<(), CliError> {
    let caller = caller();
    let opened = reviews::open(tx, &caller, &args.skill, args.version.as_deref())
        .await
        .map_err(manage_failure)?;
    let reviews = reviews::of_version(tx, opened.version.id, MAX_REVIEWS)
        .await
        .map_err(db_failure)?;
    let (skill, version) = (&opened.skill, &opened.version);
    let findings = opened.scan.as_ref().map_or(&[][..], |scan| &scan.findings);
    let reviews: Vec<_> = reviews
        .iter()
        .map(|review| {
            json!({"verdict": review.verdict, "reviewer": review.reviewer, "decided_by": review.decided_by,
                   "counted": review.counted, "comment": review.comment, "at": review.created_at.to_string()})
        })
        .collect();
    let denial = denylist::of_manifest(tx, version.digest)
        .await
        .map_err(db_failure)?;
    let value = json!({
        "denied": denial.map(|denial| denial.reason),
        "skill": skill.slug, "name": skill.name, "owner": skill.owner_email,
        "archived": skill.is_archived,
        "deprecated": skill.deprecation.as_ref().map(|deprecation| &deprecation.note),
        "successor": skill.deprecation.as_ref().and_then(|deprecation| deprecation.successor.as_ref()),
        "origin": skill.origin.as_ref().and_then(|origin| origin.slug.as_ref()),
        "version": version.version, "digest": version.digest, "state": version.state.as_str(),
        "quarantined": version.quarantined, "yank_reason": version.yank_reason,
        "findings": findings, "reviews": reviews,
    });
    if config.json {
        return output::json(&value);
    }
    let rows = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Array(items) => items
                    .iter()
                    .map(|item| {
                        let field = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
                        match field("rule").as_str() {
                            "" => format!(
                                "{} by {} {}",
                                field("verdict"),
                                field("reviewer"),
                                field("comment")
                            ),
                            rule => format!("{} {rule} in {}", field("severity"), field("path")),
                        }
                    })
                    .collect::<Vec<_>>()
                    .join("; "),
                serde_json::Value::Null
                | serde_json::Value::Bool(_)
                | serde_json::Value::Number(_)
                | serde_json::Value::Object(_) => value.to_string(),
            };
            vec![name.clone(), text]
        })
        .collect();
    output::table(&["field", "value"], rows, "")
}

async fn search(config: &Config, tx: &TenantTx, words: &str, limit: u16) -> Result<(), CliError> {
    let found = SearchCache::default()
        .search(tx, None, words, usize::from(limit), |_, _| true)
        .await
        .map_err(db_failure)?;
    let ids: Vec<_> = found.hits.iter().map(|hit| hit.id).collect();
    let summaries = skills::summaries(tx, &ids).await.map_err(db_failure)?;
    let found: Vec<_> = ids
        .iter()
        .filter_map(|id| summaries.iter().find(|summary| summary.id == *id))
        .collect();
    if config.json {
        let hits: Vec<_> = found
            .iter()
            .map(|skill| {
                json!({"skill": skill.slug, "version": skill.version, "description": skill.metadata.description})
            })
            .collect();
        return output::json(&hits);
    }
    let rows = found
        .into_iter()
        .map(|skill| {
            let description: String = skill.metadata.description.chars().take(80).collect();
            vec![skill.slug.clone(), skill.version.clone(), description]
        })
        .collect();
    output::table(&["skill", "version", "description"], rows, "No skill was found.")
}

async fn files(config: &Config, tx: &TenantTx, args: &VersionArgs) -> Result<(), CliError> {
    let opened = reviews::open(tx, &caller(), &args.skill, args.version.as_deref())
        .await
        .map_err(manage_failure)?;
    let files = versions::manifest(tx, opened.version.id)
        .await
        .map_err(db_failure)?;
    if config.json {
        let files: Vec<_> = files
            .iter()
            .map(|file| {
                json!({"path": file.path, "size": file.size, "executable": file.executable, "digest": file.digest})
            })
            .collect();
        return output::json(&files);
    }
    let rows = files
        .into_iter()
        .map(|file| {
            let mode = if file.executable { "executable" } else { "file" };
            vec![
                file.path,
                file.size.to_string(),
                mode.to_owned(),
                file.digest.to_string(),
            ]
        })
        .collect();
    output::table(&["path", "bytes", "mode", "digest"], rows, "")
}

async fn diff(config: &Config, tx: &TenantTx, slug: &str, from: &str, to: &str) -> Result<(), CliError> {
    let open = async |label: &str| {
        let opened = reviews::open(tx, &caller(), slug, Some(label)).await;
        let opened = opened.map_err(manage_failure)?;
        versions::contents(tx, opened.version.id)
            .await
            .map_err(db_failure)
    };
    let (before, after) = (open(from).await?, open(to).await?);
    let found = reviews::difference(&before, &after, MAX_DIFFERENCE_CHARS);
    if config.json {
        return output::json(&json!({
            "added": found.added, "removed": found.removed, "changed": found.changed,
            "text": found.text, "is_cut": found.is_cut,
        }));
    }
    let mut lines: Vec<String> = Vec::new();
    for (paths, what) in [
        (&found.added, "added"),
        (&found.removed, "removed"),
        (&found.changed, "changed"),
    ] {
        lines.extend(paths.iter().map(|path| format!("{what}: {path}")));
    }
    if lines.is_empty() {
        return output::line("The versions have the same files.");
    }
    output::line(&format!("{}\n\n{}", lines.join("\n"), found.text))
}

async fn history(config: &Config, tx: &TenantTx, slug: &str) -> Result<(), CliError> {
    let list = versions::list(tx, slug, MAX_VERSIONS, caller().viewer())
        .await
        .map_err(db_failure)?;
    if list.is_empty() {
        return Err(manage_failure(
            crate::registry::management::ManageError::UnknownSkill,
        ));
    }
    if config.json {
        let list: Vec<_> = list
            .iter()
            .map(|version| {
                json!({"version": version.version, "state": version.state.as_str(), "quarantined": version.quarantined,
                       "digest": version.digest, "files": version.file_count, "bytes": version.total_bytes,
                       "author": version.author_email, "note": version.change_note,
                       "yank_reason": version.yank_reason, "at": version.created_at.to_string()})
            })
            .collect();
        return output::json(&list);
    }
    let rows = list
        .into_iter()
        .map(|version| {
            let state = if version.quarantined {
                format!("{}, quarantined", version.state)
            } else {
                version.state.to_string()
            };
            vec![
                version.version,
                state,
                version.file_count.to_string(),
                version.total_bytes.to_string(),
                version.author_email.unwrap_or_else(|| "-".to_owned()),
                output::timestamp(version.created_at),
                version.yank_reason.unwrap_or(version.change_note),
            ]
        })
        .collect();
    output::table(
        &["version", "state", "files", "bytes", "author", "created", "note"],
        rows,
        "",
    )
}
