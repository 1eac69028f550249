//! `resources/read`: a file of a version, as text where it is text, with its digest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rmcp::model::{CacheScope, ReadResourceResult, ResourceContents};

use super::{Method, MethodAnswer, MethodError, VERSION_TTL_MS, media_type, skill_entry};
use crate::db::DbError;
use crate::ids::Digest;
use crate::registry::skill_uri::SkillUri;
use crate::registry::versions::{self, FileContents};
use crate::tools::{CallContext, ToolName};

/// Which file.
pub struct ResourcesRead {
    /// Its URI.
    pub uri: String,
}

impl Method for ResourcesRead {
    const NAME: &'static str = "resources/read";
    const REQUIRED_PERMISSION: ToolName = ToolName::GetSkill;
    type Reply = ReadResourceResult;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        vec![("uri", &self.uri)]
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<MethodAnswer<ReadResourceResult>, MethodError> {
        let unknown = || MethodError::UnknownUri {
            what: "resource",
            uri: self.uri.clone(),
            next: "resources/list and resources/directory/read show what there is.",
        };
        let uri = SkillUri::parse(&self.uri)
            .filter(|uri| !self.uri.ends_with('/') && !uri.path().is_empty())
            .ok_or_else(unknown)?;
        let (found, file) = futures::try_join!(skill_entry::find(cx, &uri), async {
            Ok(versions::file(cx.tx, uri.slug(), Some(uri.version()), uri.path()).await?)
        })?;
        let (skill, _) = found.ok_or_else(unknown)?;
        let file = file.ok_or_else(unknown)?;
        let bytes = file.bytes.len();
        let mut meta = skill_entry::meta(&skill);
        meta.insert(
            "io.modelcontextprotocol.skills/digest".to_owned(),
            file.entry.digest.to_string().into(),
        );
        let reply = ReadResourceResult::new(vec![contents(self.uri.clone(), file)?.with_meta(meta)])
            .with_ttl_ms(VERSION_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        Ok(MethodAnswer {
            reply,
            subject: skill_entry::subject(&skill),
            bytes,
        })
    }
}

/// Text when the bytes are UTF-8 without NUL, else base64: what comes out is byte for byte what was published.
fn contents(uri: String, file: FileContents) -> Result<ResourceContents, DbError> {
    let FileContents { entry, bytes } = file;
    if Digest::of(&bytes) != entry.digest {
        return Err(DbError::Corrupt(format!(
            "the bytes of {} differ from their digest",
            entry.path
        )));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => {
            ResourceContents::text(text, uri).with_mime_type(media_type::of_file(&entry.path, true))
        }
        Ok(text) => blob(uri, &entry.path, text.as_bytes()),
        Err(error) => blob(uri, &entry.path, error.as_bytes()),
    })
}

fn blob(uri: String, path: &str, bytes: &[u8]) -> ResourceContents {
    ResourceContents::blob(BASE64.encode(bytes), uri).with_mime_type(media_type::of_file(path, false))
}
