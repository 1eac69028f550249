//! `skillkeep publish`: publishes one skill from a folder or an archive, here or in a remote registry.

mod local;
mod remote;
mod skill;

use std::path::PathBuf;

use agent_skills::Slug;
use serde_json::{Value, json};

use self::skill::CheckedSkill;
use super::api_key::KeyArgs;
use super::output;
use super::registry_args::RegistryArgs;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::shown_text::visible;

#[derive(Debug, clap::Args)]
// `--version` is the version of the skill.
#[command(disable_version_flag = true)]
pub(super) struct PublishArgs {
    /// Folder or archive of the skill, or `-` for stdin
    ///
    /// An archive is a zip, tar or tar.gz file of up to 18 MiB, with SKILL.md at its root or in its one top folder.
    path: PathBuf,
    /// Publish as the skill with this slug
    ///
    /// Default: the name in SKILL.md.
    #[arg(long, value_name = "SLUG")]
    skill: Option<Slug>,
    /// Publish as this version
    ///
    /// Example: 1.4.0. Default: `metadata.version` in SKILL.md, or the next number.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Say what changed
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Store a draft, which only you and reviewers see
    ///
    /// Publish again without it to submit the draft.
    #[arg(long)]
    draft: bool,
    /// Refuse a skill that breaks a rule of the format
    ///
    /// Without it, such a skill is published and its deviations are printed.
    #[arg(long)]
    strict: bool,
    /// Keep files that match this pattern
    ///
    /// For files that look like secrets, dependencies or build output, or that an ignore file names. The syntax is that of
    /// .gitignore.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Publish in this tenant
    #[arg(long, default_value = "default", value_name = "SLUG", conflicts_with = "url")]
    tenant: String,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    key: KeyArgs,
}

impl PublishArgs {
    /// The slug of the tenant of a publication in the local database.
    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }
}

pub(super) async fn run(config: &Config, args: PublishArgs) -> Result<(), CliError> {
    let (path, include) = (args.path.clone(), args.include.clone());
    let skill = tokio::task::spawn_blocking(move || CheckedSkill::read(&path, include))
        .await
        .map_err(|error| CliError::new(CliErrorKind::Internal, error.to_string()))??;
    for note in &skill.notes {
        output::note(&visible(&note.to_string()));
    }
    let errors = skill.notes.iter().filter(|note| note.breaks_a_rule).count();
    if args.strict && errors > 0 {
        let message = format!("the skill breaks {errors} rules of the format; the lines above name them");
        return Err(CliError::new(CliErrorKind::Findings, message));
    }
    let published = match &args.registry.url {
        Some(url) => remote::publish(url, &args, skill).await?,
        None => local::publish(config, &args, skill).await?,
    };
    if config.json {
        return output::json(&published);
    }
    let findings = published.get("findings").and_then(Value::as_array);
    for finding in findings.into_iter().flatten() {
        output::note(&visible(&describe_finding(finding)));
    }
    output::line(&describe(&published))
}

/// A text of the answer. A remote registry must not control the terminal.
fn text(object: &Value, name: &str) -> String {
    let text = object.get(name).and_then(Value::as_str).unwrap_or_default();
    text.replace(char::is_control, " ")
}

fn describe_finding(finding: &Value) -> String {
    let [file, severity, rule, advice] =
        ["file", "severity", "rule", "advice"].map(|name| text(finding, name));
    match finding.get("line").and_then(Value::as_u64) {
        Some(line) => format!("{file}:{line}: {severity}[{rule}]: {advice}"),
        None => format!("{file}: {severity}[{rule}]: {advice}"),
    }
}

/// One line for people. The fields are those of the tool `publish_skill`.
fn describe(published: &Value) -> String {
    let [outcome, skill, version, state] =
        ["outcome", "skill", "version", "state"].map(|name| text(published, name));
    let mut line = format!("{outcome} {skill} {version} ({state})");
    if published.get("quarantined") == Some(&json!(true)) {
        line.push_str(", quarantined because of the findings above");
    }
    line
}
