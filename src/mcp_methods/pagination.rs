//! Pages of the catalog.

use super::error::MethodError;
use super::method::may_browse;
use crate::registry::cursor;
use crate::registry::listing::{self, ListedSkill};
use crate::tools::CallContext;

/// A page of skills, sorted by slug.
pub(super) struct Page {
    pub(super) skills: Vec<ListedSkill>,
    pub(super) next_cursor: Option<String>,
    /// Whether to add the entries that precede all skills. False for a key that may not browse.
    pub(super) is_first: bool,
}

/// The page of the list `list` that starts at `cursor`. Empty for a key that may not browse the catalog.
pub(super) async fn read(
    cx: &CallContext<'_>,
    list: &'static str,
    cursor: Option<&str>,
    size: usize,
) -> Result<Page, MethodError> {
    let after = match cursor {
        Some(cursor) => cursor::read(cx.principal, list, cursor)?,
        None => String::new(),
    };
    if !may_browse(cx.principal) {
        return Ok(Page {
            skills: Vec::new(),
            next_cursor: None,
            is_first: false,
        });
    }
    // One more than the page, to know whether there is a next page.
    let limit = i64::try_from(size + 1).unwrap_or(i64::MAX);
    let mut skills = listing::page(cx.tx, &after, cx.principal.only_skills.as_deref(), limit).await?;
    let has_more = skills.len() > size;
    skills.truncate(size);
    let next_cursor = skills
        .last()
        .filter(|_| has_more)
        .map(|last| cursor::write(cx.principal, list, &last.resolved.slug));
    Ok(Page {
        skills,
        next_cursor,
        is_first: cursor.is_none(),
    })
}
