//! `tools/list`: the tools that the key may call, always in the same order and on one page.

use rmcp::model::{CacheScope, ListToolsResult};

use super::error::MethodError;
use super::method::{LIST_TTL_MS, Method, MethodAnswer};
use crate::registry::cursor::InvalidCursor;
use crate::tools::{CallContext, ToolName};

pub struct ToolsList {
    /// Always invalid, because the list has one page.
    pub cursor: Option<String>,
}

impl Method for ToolsList {
    const NAME: &'static str = "tools/list";
    const REQUIRED_PERMISSION: ToolName = ToolName::Whoami;
    type Reply = ListToolsResult;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<MethodAnswer<ListToolsResult>, MethodError> {
        if self.cursor.is_some() {
            return Err(InvalidCursor.into());
        }
        let tools = ToolName::ALL
            .iter()
            .filter(|tool| tool.allowed_for(cx.principal))
            .map(|tool| tool.describe())
            .collect();
        let reply = ListToolsResult::with_all_items(tools)
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        Ok(MethodAnswer::new(reply))
    }
}
