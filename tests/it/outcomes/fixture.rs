//! Two tenants on one service; every request of the first one runs into a fault.

use std::sync::Arc;
use std::time::Duration;

use skillkeep::db::ServerDb;
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, Limits};
use skillkeep::tenancy::ApiKey;
use tokio::sync::Semaphore;

use crate::harness::TestDb;
use crate::helpers::{Stumble, events_after};

pub(crate) struct FaultyTenant {
    pub(crate) db: TestDb,
    pub(crate) service: Arc<CallService>,
    pub(crate) faulty: TenantId,
    pub(crate) faulty_key: ApiKey,
    pub(crate) other: TenantId,
    pub(crate) other_key: ApiKey,
    /// A permit for each request that has reached its fault.
    faults: Arc<Semaphore>,
}

impl FaultyTenant {
    /// A service with one connection, so that each call gets the connection that the previous one used.
    pub(crate) async fn new(fault: Stumble, limit: Duration) -> Self {
        Self::with_connections(1, fault, limit).await
    }

    pub(crate) async fn with_connections(connections: usize, fault: Stumble, limit: Duration) -> Self {
        let db = TestDb::new().await;
        let (faulty, other) = (db.tenant("faulty").await, db.tenant("other").await);
        db.skill(faulty, "pdf", "Does a thing.", &[]).await;
        db.skill(other, "other-skill", "Does a thing.", &[]).await;
        let (faulty_key, other_key) = (db.full_key(faulty).await, db.full_key(other).await);
        let faults = Arc::new(Semaphore::new(0));
        let hook = fault.of(faulty, &faults);
        let server = ServerDb::new(&db.ways.server, connections).unwrap();
        let service = Arc::new(CallService::new(server, Limits { call: limit }).with_test_hook(hook));
        Self {
            db,
            service,
            faulty,
            faulty_key,
            other,
            other_key,
            faults,
        }
    }

    /// Waits until one more request has reached its fault.
    pub(crate) async fn until_fault(&self) {
        let reached = tokio::time::timeout(Duration::from_secs(60), self.faults.acquire()).await;
        reached.unwrap().unwrap().forget();
    }

    /// Asserts that the faulty tenant has exactly these events, waiting for the last one.
    pub(crate) async fn assert_events(&self, expected: &[(&str, &str)]) {
        let events = events_after(&self.db, &self.service, self.faulty, expected.len()).await;
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(tool, outcome)| ((*tool).to_owned(), (*outcome).to_owned()))
            .collect();
        assert_eq!(events, expected);
    }
}
