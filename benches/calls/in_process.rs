//! The same call in this process: with the protocol but without HTTP, and its SQL alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use skillkeep::db::ServerDb;
use skillkeep::ids::EventId;
use skillkeep::registry::usage::{CallOutcome, Subject, UsageEvent, commit_with_event};
use skillkeep::registry::{skills, versions};
use skillkeep::server::{CallService, CredentialSource, McpHandler, ServiceLimits};
use skillkeep::tenancy::{ApiKey, authenticate};

use super::fixture::Place;
use super::load::Measured;
use super::{Outcome, SKILL};

fn database(place: &Place, clients: usize) -> Outcome<(ServerDb, ApiKey)> {
    Ok((
        ServerDb::new(&place.url("skillkeep_app"), clients)?,
        place.key.parse()?,
    ))
}

/// An rmcp client and our handler on the two ends of a pipe in memory.
pub(super) async fn over_duplex(place: &Place, clients: usize, length: Duration) -> Outcome<Measured> {
    let (db, key) = database(place, clients)?;
    let service = Arc::new(CallService::new(db, ServiceLimits::default()));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| tokio::spawn(one_connection(Arc::clone(&service), key.clone(), begun, length)))
        .collect();
    collect(tasks, begun).await
}

async fn one_connection(
    service: Arc<CallService>,
    key: ApiKey,
    begun: Instant,
    length: Duration,
) -> Outcome<Vec<u64>> {
    let (near, far) = tokio::io::duplex(1 << 20);
    let registry = McpHandler::new(service, CredentialSource::Stdio(key));
    let server = tokio::spawn(async move {
        if let Ok(service) = registry.serve(far).await {
            let _ = service.waiting().await;
        }
    });
    let client = ().serve(near).await?;
    let arguments = serde_json::json!({"skill": SKILL});
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let mut took_us = Vec::new();
    while begun.elapsed() < length {
        let sent = Instant::now();
        let result = client
            .call_tool(CallToolRequestParams::new("get_skill").with_arguments(arguments.clone()))
            .await?;
        took_us.push(sent.elapsed().as_micros() as u64);
        if result.is_error == Some(true) {
            return Err("the tool refused".into());
        }
    }
    client.cancel().await?;
    server.abort();
    Ok(took_us)
}

/// What the service and the tool ask of the database, and nothing else of them.
pub(super) async fn transaction(
    place: &Place,
    clients: usize,
    length: Duration,
    in_flights: bool,
) -> Outcome<Measured> {
    let (db, key) = database(place, clients)?;
    let begun = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (db, key) = (db.clone(), key.clone());
            tokio::spawn(async move {
                let mut took_us = Vec::new();
                while begun.elapsed() < length {
                    let sent = Instant::now();
                    one_transaction(&db, &key, in_flights).await?;
                    took_us.push(sent.elapsed().as_micros() as u64);
                }
                Ok(took_us)
            })
        })
        .collect();
    collect(tasks, begun).await
}

async fn one_transaction(db: &ServerDb, key: &ApiKey, in_flights: bool) -> Outcome<()> {
    let (tx, principal) = authenticate(db, key).await?;
    if in_flights {
        futures::try_join!(
            skills::details(&tx, SKILL, None),
            versions::files(&tx, SKILL, None),
            versions::list(&tx, SKILL, 100)
        )?;
    } else {
        skills::details(&tx, SKILL, None).await?;
        versions::files(&tx, SKILL, None).await?;
        versions::list(&tx, SKILL, 100).await?;
    }
    let event = UsageEvent {
        id: EventId::new(),
        api_key: principal.api_key,
        user: principal.user,
        tool: "get_skill".to_owned(),
        subject: Subject::default(),
        outcome: CallOutcome::Ok,
        error_code: None,
        duration_us: 1,
        transport: "stdio",
        protocol_version: Some("2025-06-18".to_owned()),
        client_name: Some("bench".to_owned()),
        client_version: None,
        request_id: Some("1".to_owned()),
        trace_id: None,
        idempotency_key: None,
        arguments: serde_json::json!({"sizes": {"skill": SKILL.len()}}),
        result_count: None,
        result_bytes: 1,
    };
    commit_with_event(tx, &event).await?;
    Ok(())
}

async fn collect(
    tasks: Vec<tokio::task::JoinHandle<Outcome<Vec<u64>>>>,
    begun: Instant,
) -> Outcome<Measured> {
    let mut measured = Measured::default();
    for task in tasks {
        measured.took_us.extend(task.await??);
    }
    measured.length = begun.elapsed();
    Ok(measured)
}
