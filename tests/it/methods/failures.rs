//! Failed methods on a pool of one connection: each is answered and recorded once, and the next caller is served.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Transport, WireClient};
use super::{LISTS, all, reads, uri};
use crate::helpers::{Stumble, Wire, events_after};
use crate::outcomes::fixture::FaultyTenant;

/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(300);
const SHORT: Duration = Duration::from_millis(200);

impl FaultyTenant {
    /// Asserts that the other tenant is served over the same connection, and sees only its own skills.
    async fn assert_other_tenant_can_read(&self) {
        let mut client = WireClient::connect(&self.service, &self.other_key, Transport::InMemory).await;
        let own = uri("other-skill", "1", "SKILL.md");
        assert_eq!(all(&mut client, LISTS[1]).await, std::slice::from_ref(&own));
        let before = self.db.events(self.other).await.len();
        client.ok("resources/read", json!({"uri": own})).await;
        let foreign = json!({"uri": uri("pdf", "1", "SKILL.md")});
        assert_eq!(client.error("resources/read", foreign).await["code"], -32_002);
        let mut events = events_after(&self.db, &self.service, self.other, before + 2).await;
        assert_eq!(
            events.split_off(before),
            [("resources/read", "ok"), ("resources/read", "tool_error")]
                .map(|(tool, outcome)| (tool.to_owned(), outcome.to_owned()))
        );
    }

    async fn assert_reads_recorded(&self, outcome: &str) {
        self.assert_events(&reads("pdf", "1").map(|(method, _)| (method, outcome)))
            .await;
    }
}

/// Requests that leave no event.
fn unrecorded_requests() -> Vec<(&'static str, Value)> {
    let skills = json!({"type": "ref/resource", "uri": "skill://{skill}/{version}/{name}/{+path}"});
    let complete = json!({"ref": skills, "argument": {"name": "skill", "value": ""}});
    LISTS
        .iter()
        .map(|(method, ..)| (*method, json!({})))
        .chain([("tools/list", json!({})), ("completion/complete", complete)])
        .collect()
}

fn assert_hides_internals(error: &Value) {
    assert_eq!(error["code"], -32_603, "{error}");
    for internal in [
        "a test's panic",
        "division",
        "aborted",
        "transaction",
        "25P02",
        "Do it.",
    ] {
        assert!(!error.to_string().contains(internal), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_read_is_answered_and_recorded() {
    for (fault, limit, outcome) in [
        (Stumble::Panic, LONG, "panicked"),
        (Stumble::Wait, SHORT, "timed_out"),
        (Stumble::SlowStatement, SHORT, "timed_out"),
        (Stumble::BadStatement, LONG, "internal_error"),
    ] {
        let setup = FaultyTenant::new(fault, limit).await;
        let mut client = WireClient::connect(&setup.service, &setup.faulty_key, Transport::InMemory).await;
        for (method, params) in reads("pdf", "1") {
            let error = client.error(method, params).await;
            assert_hides_internals(&error);
            let names_time_out = error["message"].as_str().unwrap().contains("took longer than");
            assert_eq!(names_time_out, outcome == "timed_out", "{error}");
        }
        setup.assert_reads_recorded(outcome).await;
        setup.assert_other_tenant_can_read().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_read_is_stopped_and_recorded() {
    for fault in [Stumble::Wait, Stumble::SlowStatement] {
        let setup = FaultyTenant::new(fault, LONG).await;
        let mut wire = Wire::connect(&setup.service, &setup.faulty_key).await;
        for (id, (method, params)) in (1..).zip(reads("pdf", "1")) {
            wire.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
                .await;
            setup.until_fault().await;
            wire.cancel(id).await;
        }
        setup.assert_reads_recorded("cancelled").await;
        setup.assert_other_tenant_can_read().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_disconnected_client_are_stopped_and_recorded() {
    // All at once, because a closing connection waits some seconds for its running requests. Six connections for four requests,
    // because one tenant does not get all of them.
    let setup = FaultyTenant::with_connections(6, Stumble::SlowStatement, LONG).await;
    let mut wire = Wire::connect(&setup.service, &setup.faulty_key).await;
    for (id, (method, params)) in (1..).zip(reads("pdf", "1")) {
        wire.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        setup.until_fault().await;
    }
    drop(wire);
    setup.assert_reads_recorded("client_gone").await;
    setup.assert_other_tenant_can_read().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_list_is_answered_and_blocks_no_other_call() {
    for (fault, limit) in [
        (Stumble::Panic, LONG),
        (Stumble::Wait, SHORT),
        (Stumble::SlowStatement, SHORT),
    ] {
        let setup = FaultyTenant::new(fault, limit).await;
        let mut client = WireClient::connect(&setup.service, &setup.faulty_key, Transport::InMemory).await;
        for (method, params) in unrecorded_requests() {
            let error = client.error(method, params).await;
            assert_hides_internals(&error);
        }
        setup.assert_other_tenant_can_read().await;
        assert_eq!(setup.db.events(setup.faulty).await, [], "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_list_blocks_no_other_call() {
    for fault in [Stumble::Wait, Stumble::SlowStatement] {
        let setup = FaultyTenant::new(fault, LONG).await;
        let mut wire = Wire::connect(&setup.service, &setup.faulty_key).await;
        for (id, (method, params)) in (1..).zip(unrecorded_requests()) {
            wire.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
                .await;
            setup.until_fault().await;
            wire.cancel(id).await;
        }
        setup.assert_other_tenant_can_read().await;
        assert_eq!(setup.db.events(setup.faulty).await, [], "{fault:?}");
    }
}
