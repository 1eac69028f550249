//! The product's own stack (router, middleware, service, handler) with the fixtures that the official conformance suite
//! asks a server for: tools, prompts and resources with agreed names. What is no fixture goes to the product.
//!
//! Usage: `conformance-server`, with `DATABASE_URL` naming a migrated database by the server's role. Prints its address.

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
use skillkeep::server::{CallService, McpHandler, ServiceLimits};
use skillkeep::transport::http::{self, HttpOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url: DatabaseUrl = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL must name the database, by the role skillkeep_app")?
        .parse()?;
    let service = Arc::new(CallService::new(
        ServerDb::new(&url, 8)?,
        ServiceLimits::default(),
    ));
    let listener = http::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    eprintln!("conformance-server serves http://{}/mcp", listener.local_addr()?);
    let (behind, changes, tasks) = (Arc::clone(&service), Arc::default(), TaskManager::new());
    let handlers = move |key| {
        let product = McpHandler::new(Arc::clone(&behind), key);
        Fixtures::new(product, Arc::clone(&changes), tasks.clone())
    };
    let stop = async {
        // Without a signal to wait for it serves until it is killed.
        let _signal = tokio::signal::ctrl_c().await;
    };
    http::serve_handlers(listener, service, &HttpOptions::default(), stop, handlers).await?;
    Ok(())
}
