//! Publishes in a remote registry over its upload route.

use std::path::Path;

use agent_skills::write_zip;
use serde_json::Value;

use super::PublishArgs;
use super::skill::CheckedSkill;
use crate::bridge::{ArchiveUpload, UploadAnswer, UploadFailure};
use crate::cli::api_key::Stdin;
use crate::error::{CliError, CliErrorKind};

pub(super) async fn publish(url: &str, args: &PublishArgs, skill: CheckedSkill) -> Result<Value, CliError> {
    let is_archive_on_stdin = args.path == Path::new("-");
    let stdin = if is_archive_on_stdin {
        Stdin::Used
    } else {
        Stdin::Free
    };
    let key = args.key.required_for_call(stdin)?;
    let remote = args.registry.remote(url, &key)?;
    let bytes = write_zip(&skill.folder.files)
        .map_err(|error| CliError::new(CliErrorKind::Findings, error.to_string()))?;
    let mut query = vec![("name", skill.folder.folder_name)];
    query.extend(args.version.clone().map(|version| ("version", version)));
    query.extend(args.note.clone().map(|note| ("note", note)));
    query.extend(args.skill.as_ref().map(|slug| ("skill", slug.to_string())));
    if args.draft {
        query.push(("draft", "true".to_owned()));
    }
    let upload = ArchiveUpload { bytes, query };
    match remote.upload(upload).await {
        Ok(answer) if answer.status == 200 => Ok(answer.body),
        Ok(answer) => Err(refused(&answer)),
        Err(failure) => Err(failed(&failure)),
    }
}

fn refused(answer: &UploadAnswer) -> CliError {
    let kind = match answer.status {
        400 | 413 | 422 => CliErrorKind::Findings,
        404 => CliErrorKind::NotFound,
        401 | 403 | 409 => CliErrorKind::Refused,
        _ => CliErrorKind::Unavailable,
    };
    let message = answer.body.pointer("/error/message").and_then(Value::as_str);
    let message = message.unwrap_or("the registry refused the skill without a reason");
    // A remote registry must not control the terminal.
    CliError::new(kind, message.replace(char::is_control, " "))
}

fn failed(failure: &UploadFailure) -> CliError {
    let kind = match failure {
        UploadFailure::Unreachable { .. }
        | UploadFailure::Interrupted { .. }
        | UploadFailure::Certificate { .. } => CliErrorKind::Unavailable,
        UploadFailure::NotARegistry { .. } => CliErrorKind::Usage,
    };
    CliError::new(kind, failure.to_string())
}
