//! `resources/read`: a file of a version with its digest, as text or as base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rmcp::model::{CacheScope, ReadResourceResult, ResourceContents};

use super::error::{MethodError, UriKind};
use super::method::{Method, MethodAnswer, VERSION_TTL_MS};
use super::{media_type, skill_entry};
use crate::db::DbError;
use crate::ids::Digest;
use crate::registry::caller::Viewer;
use crate::registry::skill_uri::SkillUri;
use crate::registry::versions::{self, FileContents};
use crate::tools::{CallContext, ToolName};

pub struct ResourcesRead {
    /// The URI of the file.
    pub uri: String,
}

impl Method for ResourcesRead {
    const NAME: &'static str = "resources/read";
    const REQUIRED_PERMISSION: ToolName = ToolName::GetSkill;
    const LOADS_FILE: bool = true;
    type Reply = ReadResourceResult;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        vec![("uri", &self.uri)]
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<MethodAnswer<ReadResourceResult>, MethodError> {
        let unknown = || MethodError::UnknownUri {
            kind: UriKind::Resource,
            uri: self.uri.clone(),
        };
        let uri = SkillUri::parse(&self.uri)
            .filter(|uri| !self.uri.ends_with('/') && !uri.path().is_empty())
            .ok_or_else(unknown)?;
        if cx.is_hidden(uri.slug(), Some(uri.version())).await? {
            return Err(unknown());
        }
        let (found, file) = futures::try_join!(skill_entry::find(cx, &uri), async {
            Ok(versions::file(
                cx.tx,
                uri.slug(),
                Some(uri.version()),
                uri.path(),
                Viewer::PUBLISHED,
            )
            .await?)
        })?;
        let (skill, _) = found.ok_or_else(unknown)?;
        let file = file.ok_or_else(unknown)?;
        let bytes = file.bytes.len();
        let mut meta = skill_entry::meta(&skill);
        skill_entry::insert_digest(&mut meta, file.entry.digest);
        let reply = ReadResourceResult::new(vec![contents(self.uri.clone(), file)?.with_meta(meta)])
            .with_ttl_ms(VERSION_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        Ok(MethodAnswer {
            reply,
            subject: skill.resolved.subject(),
            bytes,
        })
    }
}

/// Text, or base64 for what is no text, so that clients get exactly the published bytes.
fn contents(uri: String, file: FileContents) -> Result<ResourceContents, DbError> {
    let FileContents { entry, bytes } = file;
    if Digest::of(&bytes) != entry.digest {
        return Err(DbError::Corrupt(format!(
            "the bytes of {} differ from their digest",
            entry.path
        )));
    }
    Ok(match versions::text_or_bytes(bytes) {
        Ok(text) => ResourceContents::text(text, uri).with_mime_type(media_type::of_file(&entry.path, true)),
        Err(bytes) => blob(uri, &entry.path, &bytes),
    })
}

fn blob(uri: String, path: &str, bytes: &[u8]) -> ResourceContents {
    ResourceContents::blob(BASE64.encode(bytes), uri).with_mime_type(media_type::of_file(path, false))
}
