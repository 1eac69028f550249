//! The model of one tenant, and its comparison with the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt as _;
use rand::rngs::StdRng;
use skillkeep::ids::{ApiKeyId, TenantId, UserId};
use skillkeep::isolation_probe::InMemoryClient;
use skillkeep::tenancy::{ApiKey, Scope};

use super::Fixtures;

pub(super) const USERS: [&str; 3] = ["ada@example.com", "bob@example.com", "eve@example.com"];

#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) skill_md: String,
    /// A word that only this version's description contains.
    pub(super) word: String,
    pub(super) description: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Skill {
    /// In order; the first is version "1".
    pub(super) versions: Vec<Version>,
    pub(super) offered: i64,
    pub(super) confirmed: i64,
    pub(super) helped: i64,
    pub(super) failed: i64,
    pub(super) stale: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Install {
    pub(super) id: String,
    pub(super) skill: String,
    pub(super) version: usize,
    pub(super) user: usize,
    pub(super) state: &'static str,
}

pub(super) struct Key {
    pub(super) key: ApiKey,
    pub(super) id: ApiKeyId,
    pub(super) user: usize,
    pub(super) scopes: Vec<Scope>,
    pub(super) revoked: bool,
    pub(super) client: Option<InMemoryClient>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    pub(super) skill: String,
    pub(super) version: usize,
    pub(super) outcome: &'static str,
    pub(super) minutes: i64,
}

impl Report {
    /// Whether it has the same idempotent content. A repeated report names no version.
    pub(super) fn is_repetition_of(&self, other: &Self) -> bool {
        (&self.skill, self.outcome, self.minutes) == (&other.skill, other.outcome, other.minutes)
    }
}

#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    pub(super) answered: u64,
    pub(super) refused: u64,
    pub(super) faults: u64,
    pub(super) lost: u64,
    pub(super) abandoned: u64,
    pub(super) lists: u64,
    pub(super) admin: u64,
    pub(super) compared: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.faults += other.faults;
        self.lost += other.lost;
        self.abandoned += other.abandoned;
        self.lists += other.lists;
        self.admin += other.admin;
        self.compared += other.compared;
    }
}

pub(super) struct Tenant {
    pub(super) fixtures: Arc<Fixtures>,
    pub(super) id: TenantId,
    pub(super) slug: String,
    pub(super) random: StdRng,
    pub(super) active: bool,
    pub(super) users: Vec<(UserId, bool)>,
    pub(super) keys: Vec<Key>,
    pub(super) skills: BTreeMap<String, Skill>,
    pub(super) installs: Vec<Install>,
    /// By user number and idempotency key.
    pub(super) reports: BTreeMap<(usize, String), Report>,
    /// Events by outcome.
    pub(super) events: BTreeMap<String, i64>,
    pub(super) minutes: i64,
    pub(super) counts: Counts,
    steps: u64,
    /// A connection that no policy restricts.
    pub(super) superuser: tokio_postgres::Client,
}

impl Tenant {
    pub(super) async fn new(fixtures: Arc<Fixtures>, number: usize, random: StdRng) -> Self {
        let slug = format!("tenant-{number}");
        let id = fixtures.db.tenant(&slug).await;
        let superuser = fixtures.db.superuser().await;
        let mut tenant = Self {
            fixtures,
            id,
            slug,
            random,
            active: true,
            users: Vec::new(),
            keys: Vec::new(),
            skills: BTreeMap::new(),
            installs: Vec::new(),
            reports: BTreeMap::new(),
            events: BTreeMap::new(),
            minutes: 0,
            counts: Counts::default(),
            steps: 0,
            superuser,
        };
        tenant.make_users().await;
        tenant.make_key(0, Scope::ALL.to_vec()).await;
        for _ in 0..3 {
            tenant.publish().await;
        }
        tenant
    }

    pub(super) fn one_in(&mut self, number: u32) -> bool {
        self.random.random_range(0..number) == 0
    }

    /// Executes one random operation.
    pub(super) async fn step(&mut self) {
        self.steps += 1;
        if self.one_in(12) {
            self.administer().await;
            self.counts.admin += 1;
        } else if self.one_in(10) {
            self.list().await;
        } else {
            self.call().await;
        }
        if self.steps.is_multiple_of(250) {
            self.compare().await;
        }
    }

    /// Compares every number of the model with the database.
    pub(super) async fn compare(&mut self) {
        self.counts.compared += 1;
        let id = self.id.as_uuid();
        let rows = self
            .superuser
            .query(
                "SELECT s.slug, (SELECT count(*) FROM skill_versions v WHERE v.tenant_id = $1 AND v.skill_id = s.id),
                        (SELECT count(*) FROM installs i WHERE i.tenant_id = $1 AND i.skill_id = s.id),
                        (SELECT count(*) FROM installs i WHERE i.tenant_id = $1 AND i.skill_id = s.id AND i.state = 'confirmed'),
                        (SELECT count(*) FROM skill_feedback r WHERE r.tenant_id = $1 AND r.skill_id = s.id AND r.outcome = 'helped'),
                        (SELECT count(*) FROM skill_feedback r WHERE r.tenant_id = $1 AND r.skill_id = s.id AND r.outcome = 'failed'),
                        (SELECT count(*) FROM skill_feedback r WHERE r.tenant_id = $1 AND r.skill_id = s.id AND r.outcome = 'stale'),
                        s.description
                 FROM skills s WHERE s.tenant_id = $1 ORDER BY s.slug COLLATE \"C\"",
                &[id],
            )
            .await
            .unwrap();
        let found: Vec<(String, [i64; 6], String)> = rows
            .iter()
            .map(|row| {
                (
                    row.get(0),
                    [1, 2, 3, 4, 5, 6].map(|column| row.get(column)),
                    row.get(7),
                )
            })
            .collect();
        let expected: Vec<(String, [i64; 6], String)> = self
            .skills
            .iter()
            .map(|(slug, skill)| {
                let numbers = [
                    i64::try_from(skill.versions.len()).unwrap(),
                    skill.offered,
                    skill.confirmed,
                    skill.helped,
                    skill.failed,
                    skill.stale,
                ];
                (
                    slug.clone(),
                    numbers,
                    skill.versions.last().unwrap().description.clone(),
                )
            })
            .collect();
        assert_eq!(found, expected, "{}", self.slug);
        let rows = self
            .superuser
            .query(
                "SELECT outcome, count(*) FROM usage_events WHERE tenant_id = $1 GROUP BY outcome",
                &[id],
            )
            .await
            .unwrap();
        let found: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(found, self.events, "{}", self.slug);
        // No usage event refers to another tenant's row.
        let crossed: i64 = self
            .superuser
            .query_one(
                "SELECT count(*) FROM usage_events e WHERE e.tenant_id = $1 AND (
                     (e.skill_id IS NOT NULL AND NOT EXISTS (SELECT FROM skills s WHERE s.tenant_id = $1 AND s.id = e.skill_id))
                     OR NOT EXISTS (SELECT FROM api_keys k WHERE k.tenant_id = $1 AND k.id = e.api_key_id))",
                &[id],
            )
            .await
            .unwrap()
            .get(0);
        assert_eq!(crossed, 0, "{}", self.slug);
    }
}
