//! The skillkeep server (router, middleware, service, handler) with the fixtures that the official conformance suite requires:
//! tools, prompts and resources with prescribed names. All other requests go to skillkeep itself.
//!
//! Usage: `DATABASE_URL=… conformance-server`. The URL names a migrated database and the role `skillkeep_app`. Prints the address
//! that it serves.

#[path = "server/handler.rs"]
mod handler;
#[path = "server/inputs.rs"]
mod inputs;
#[path = "server/lists.rs"]
mod lists;
#[path = "server/tasks.rs"]
mod tasks;
#[path = "server/work.rs"]
mod work;

use std::net::SocketAddr;
use std::sync::Arc;

use handler::Fixtures;
use rmcp::task_manager::TaskManager;
use skillkeep::db::{DatabaseUrl, ServerDb};
use skillkeep::server::{CallService, Limits, McpHandler};
use skillkeep::transport::http::{self, HttpOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url: DatabaseUrl = std::env::var("DATABASE_URL")
        .map_err(|_| "set DATABASE_URL to a migrated database, with the role skillkeep_app")?
        .parse()?;
    let service = Arc::new(CallService::new(ServerDb::new(&url, 8)?, Limits::default()));
    let listener = http::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    eprintln!("conformance-server serves http://{}/mcp", listener.local_addr()?);
    let (handler_service, changes, tasks) = (Arc::clone(&service), Arc::default(), TaskManager::new());
    let handlers = move |key| {
        let product = McpHandler::new(Arc::clone(&handler_service), key);
        Fixtures::new(product, Arc::clone(&changes), tasks.clone())
    };
    let stop = async {
        // If signals cannot be received, the server runs until it is killed.
        let _signal = tokio::signal::ctrl_c().await;
    };
    http::serve_handlers(listener, service, &HttpOptions::default(), stop, handlers).await?;
    Ok(())
}
