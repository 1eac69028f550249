//! `resources/directory/read` (Skills extension, SEP-2640): the children of a folder of a version.

use rmcp::model::{CacheScope, DIRECTORY_MIME_TYPE, ListResourcesResult, MetaObject, Resource};

use super::error::{MethodError, UriKind};
use super::method::{Method, MethodAnswer, VERSION_TTL_MS};
use super::{media_type, skill_entry};
use crate::registry::caller::Viewer;
use crate::registry::cursor;
use crate::registry::skill_uri::SkillUri;
use crate::registry::versions::{self, FileEntry};
use crate::tools::{CallContext, ToolName};

/// Children per page.
const PAGE_SIZE: usize = 200;

pub struct DirectoryRead {
    /// The URI of the folder.
    pub uri: String,
    /// From the previous page.
    pub cursor: Option<String>,
}

/// A child of a folder, with its name.
enum Child<'a> {
    Folder(&'a str),
    File(&'a str, &'a FileEntry),
}

impl<'a> Child<'a> {
    const fn name(&self) -> &'a str {
        match self {
            Self::Folder(name) | Self::File(name, _) => name,
        }
    }
}

impl Method for DirectoryRead {
    const NAME: &'static str = "resources/directory/read";
    const REQUIRED_PERMISSION: ToolName = ToolName::GetSkill;
    type Reply = ListResourcesResult;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        vec![("uri", &self.uri)]
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<MethodAnswer<ListResourcesResult>, MethodError> {
        let unknown = || MethodError::UnknownUri {
            kind: UriKind::Directory,
            uri: self.uri.clone(),
        };
        let uri = SkillUri::parse(&self.uri).ok_or_else(unknown)?;
        let list = format!("{} {uri}", Self::NAME);
        let after = match &self.cursor {
            Some(cursor) => cursor::read(cx.principal, &list, cursor)?,
            None => String::new(),
        };
        let (found, manifest) = futures::try_join!(skill_entry::find(cx, &uri), async {
            Ok(versions::files(cx.tx, uri.slug(), Some(uri.version()), Viewer::PUBLISHED).await?)
        })?;
        let (skill, folder) = found.ok_or_else(unknown)?;
        let mut children = children(&manifest, uri.path());
        if children.is_empty() {
            return Err(unknown());
        }
        children.retain(|child| child.name() > after.as_str());
        let has_more = children.len() > PAGE_SIZE;
        children.truncate(PAGE_SIZE);
        let next_cursor = children
            .last()
            .filter(|_| has_more)
            .map(|last| cursor::write(cx.principal, &list, last.name()));
        let resources = children
            .iter()
            .map(|child| resource(&folder, uri.path(), child))
            .collect();
        let mut reply = ListResourcesResult::with_all_items(resources)
            .with_ttl_ms(VERSION_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        reply.next_cursor = next_cursor;
        Ok(MethodAnswer {
            reply,
            subject: skill.resolved.subject(),
            bytes: 0,
        })
    }
}

/// The children of the folder at `path`, sorted by the bytes of their names. A subfolder occurs once.
fn children<'a>(manifest: &'a [FileEntry], path: &str) -> Vec<Child<'a>> {
    let mut children: Vec<Child<'a>> = manifest
        .iter()
        .filter_map(|file| {
            let inside = if path.is_empty() {
                file.path.as_str()
            } else {
                file.path.strip_prefix(path)?.strip_prefix('/')?
            };
            Some(match inside.split_once('/') {
                Some((folder, _)) => Child::Folder(folder),
                None => Child::File(inside, file),
            })
        })
        .collect();
    children.sort_by_key(Child::name);
    children.dedup_by_key(|child| child.name());
    children
}

fn resource(folder: &SkillUri, path: &str, child: &Child<'_>) -> Resource {
    let inside = match path {
        "" => child.name().to_owned(),
        path => format!("{path}/{}", child.name()),
    };
    let resource = Resource::new(folder.at(&inside).to_string(), child.name());
    match child {
        Child::Folder(_) => resource.with_mime_type(DIRECTORY_MIME_TYPE),
        Child::File(_, file) => {
            let mut meta = MetaObject::new();
            skill_entry::insert_digest(&mut meta, file.digest);
            let resource = resource
                .with_size(u64::try_from(file.size).unwrap_or_default())
                .with_meta(meta);
            match media_type::of_path(&file.path) {
                Some(media_type) => resource.with_mime_type(media_type),
                None => resource,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;

    fn names(paths: &[&str], folder: &str) -> Vec<String> {
        let manifest: Vec<FileEntry> = paths
            .iter()
            .map(|path| FileEntry {
                path: (*path).to_owned(),
                digest: Digest::of(b""),
                size: 0,
                executable: false,
            })
            .collect();
        children(&manifest, folder)
            .iter()
            .map(|child| match child {
                Child::Folder(name) => format!("{name}/"),
                Child::File(name, _) => (*name).to_owned(),
            })
            .collect()
    }

    #[test]
    fn folder_lists_direct_children_once_and_sorted() {
        let paths = [
            "SKILL.md",
            "docs/a.md",
            "docs/deep/b.md",
            "docs.md",
            "scripts/x.py",
        ];
        assert_eq!(names(&paths, ""), ["SKILL.md", "docs/", "docs.md", "scripts/"]);
        assert_eq!(names(&paths, "docs"), ["a.md", "deep/"]);
        assert_eq!(names(&paths, "doc"), Vec::<String>::new());
        assert_eq!(names(&paths, "SKILL.md"), Vec::<String>::new());
    }
}
