//! The model of one tenant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::RngExt as _;
use rand::rngs::StdRng;
use skillkeep::ids::{ApiKeyId, TenantId, UserId};
use skillkeep::isolation_probe::InMemoryClient;
use skillkeep::tenancy::{ApiKey, Scope};

use super::Fixtures;
use super::admin::{author, reviewer};
use super::skill::Skill;

pub(super) const USERS: [&str; 3] = ["ada@example.com", "bob@example.com", "eve@example.com"];

#[derive(Debug, Clone)]
pub(super) struct Install {
    pub(super) id: String,
    /// Its key in the model.
    pub(super) skill: String,
    /// Its index in the skill.
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
    /// Its key in the model.
    pub(super) skill: String,
    pub(super) version: String,
    pub(super) outcome: &'static str,
    pub(super) minutes: i64,
}

impl Report {
    /// Whether it has the same idempotent content. A repeated report names no version.
    pub(super) fn is_repetition_of(&self, other: &Self) -> bool {
        (&self.skill, self.outcome, self.minutes) == (&other.skill, other.outcome, other.minutes)
    }
}

/// Answers of one tool without an injected fault.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Answers {
    pub(super) called: u64,
    pub(super) ok: u64,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    pub(super) tools: BTreeMap<&'static str, Answers>,
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
        for (tool, answers) in &other.tools {
            let sum = self.tools.entry(*tool).or_default();
            sum.called += answers.called;
            sum.ok += answers.ok;
        }
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
    /// By a key that stays when a skill is renamed: its first slug, which no other skill gets.
    pub(super) skills: BTreeMap<String, Skill>,
    pub(super) review_required: bool,
    pub(super) assistants_count: bool,
    /// The first of the users, who may publish.
    pub(super) publishers: usize,
    /// Texts of versions that a reviewer allowed in spite of findings.
    pub(super) overridden: BTreeSet<String>,
    /// Entries of the audit log about skills, by action.
    pub(super) audited: BTreeMap<&'static str, i64>,
    /// API keys that were ever created.
    pub(super) keys_made: i64,
    /// The index of the first tool that is called.
    pub(super) first_tool: usize,
    /// Calls that were planned.
    pub(super) planned: usize,
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
            review_required: number % 2 == 1,
            assistants_count: number % 4 == 3,
            publishers: if number % 3 == 2 { 2 } else { USERS.len() },
            overridden: BTreeSet::new(),
            audited: BTreeMap::new(),
            keys_made: 0,
            first_tool: number * 3,
            planned: 0,
            installs: Vec::new(),
            reports: BTreeMap::new(),
            events: BTreeMap::new(),
            minutes: 0,
            counts: Counts::default(),
            steps: 0,
            superuser,
        };
        tenant.make_users().await;
        tenant.make_settings().await;
        tenant.make_key(0, Scope::ALL.to_vec()).await;
        tenant.make_key(1, author()).await;
        tenant.make_key(2, reviewer()).await;
        for _ in 0..3 {
            tenant.import().await;
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

    pub(super) fn skill_mut(&mut self, key: &str) -> &mut Skill {
        self.skills.get_mut(key).unwrap()
    }

    /// Expects further entries of this kind in the audit log.
    pub(super) fn audit(&mut self, action: &'static str, count: usize) {
        if count > 0 {
            *self.audited.entry(action).or_default() += i64::try_from(count).unwrap();
        }
    }
}
