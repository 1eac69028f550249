//! The same call in this process: with the protocol but without HTTP, and only its SQL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use skillkeep::db::ServerDb;
use skillkeep::ids::EventId;
use skillkeep::registry::caller::Viewer;
use skillkeep::registry::usage::{CallOutcome, Subject, UsageEvent, commit_with_event};
use skillkeep::registry::{skills, versions};
use skillkeep::server::{CallService, CredentialSource, McpHandler, ServiceLimits};
use skillkeep::tenancy::{ApiKey, authenticate};

use super::fixture::Fixture;
use super::load::Measurement;
use super::{BenchResult, SKILL};

fn database(fixture: &Fixture, clients: usize) -> BenchResult<(ServerDb, ApiKey)> {
    Ok((
        ServerDb::new(&fixture.url("skillkeep_app"), clients)?,
        fixture.key.parse()?,
    ))
}

/// An rmcp client and the server's handler, connected by an in-memory stream.
pub(super) async fn over_duplex(
    fixture: &Fixture,
    clients: usize,
    duration: Duration,
) -> BenchResult<Measurement> {
    let (db, key) = database(fixture, clients)?;
    let service = Arc::new(CallService::new(db, ServiceLimits::default()));
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            tokio::spawn(one_connection(
                Arc::clone(&service),
                key.clone(),
                started,
                duration,
            ))
        })
        .collect();
    collect(tasks, started).await
}

async fn one_connection(
    service: Arc<CallService>,
    key: ApiKey,
    started: Instant,
    duration: Duration,
) -> BenchResult<Vec<u64>> {
    let (client_end, server_end) = tokio::io::duplex(1 << 20);
    let handler = McpHandler::new(service, CredentialSource::Stdio(key));
    let server = tokio::spawn(async move {
        if let Ok(service) = handler.serve(server_end).await {
            let _ = service.waiting().await;
        }
    });
    let client = ().serve(client_end).await?;
    let arguments = serde_json::json!({"skill": SKILL});
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let mut latencies_us = Vec::new();
    while started.elapsed() < duration {
        let sent = Instant::now();
        let result = client
            .call_tool(CallToolRequestParams::new("get_skill").with_arguments(arguments.clone()))
            .await?;
        latencies_us.push(sent.elapsed().as_micros() as u64);
        if result.is_error == Some(true) {
            return Err("the tool returned an error".into());
        }
    }
    client.cancel().await?;
    server.abort();
    Ok(latencies_us)
}

/// Only the statements of the service and the tool.
pub(super) async fn transaction(
    fixture: &Fixture,
    clients: usize,
    duration: Duration,
    pipelined: bool,
) -> BenchResult<Measurement> {
    let (db, key) = database(fixture, clients)?;
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (db, key) = (db.clone(), key.clone());
            tokio::spawn(async move {
                let mut latencies_us = Vec::new();
                while started.elapsed() < duration {
                    let sent = Instant::now();
                    one_transaction(&db, &key, pipelined).await?;
                    latencies_us.push(sent.elapsed().as_micros() as u64);
                }
                Ok(latencies_us)
            })
        })
        .collect();
    collect(tasks, started).await
}

async fn one_transaction(db: &ServerDb, key: &ApiKey, pipelined: bool) -> BenchResult<()> {
    let (tx, principal) = authenticate(db, key).await?;
    if pipelined {
        futures::try_join!(
            skills::details(&tx, SKILL, None, Viewer::PUBLISHED),
            versions::files(&tx, SKILL, None, Viewer::PUBLISHED),
            versions::list(&tx, SKILL, 100, Viewer::PUBLISHED)
        )?;
    } else {
        skills::details(&tx, SKILL, None, Viewer::PUBLISHED).await?;
        versions::files(&tx, SKILL, None, Viewer::PUBLISHED).await?;
        versions::list(&tx, SKILL, 100, Viewer::PUBLISHED).await?;
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
    tasks: Vec<tokio::task::JoinHandle<BenchResult<Vec<u64>>>>,
    started: Instant,
) -> BenchResult<Measurement> {
    let mut measurement = Measurement::default();
    for task in tasks {
        measurement.latencies_us.extend(task.await??);
    }
    measurement.duration = started.elapsed();
    Ok(measurement)
}
