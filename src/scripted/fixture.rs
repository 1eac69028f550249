//! Tenants, users and API keys for one run of a test file, and the usage events that the run leaves.

use std::collections::{BTreeMap, HashSet};

use super::file::{TenantSpec, TestFile};
use crate::db::{AdminDb, DbError, TenantTx};
use crate::ids::{EventId, TenantId};
use crate::registry::administration::{self, settings::ChangeError, tenants::TenantError};
use crate::registry::audit::Actor;
use crate::registry::usage::{self, RecentEvent};
use crate::search;
use crate::tenancy::api_keys::NewApiKey;
use crate::tenancy::{ApiKey, CallLimits};

/// The most runs of a tenant's name in one database.
const MAX_SUFFIX: u32 = 10_000;

/// Why the tenants and users of a file cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    #[error("the tenant \"{name}\" cannot be created: {error}")]
    Tenant { name: String, error: TenantError },
    #[error("\"{0}\" is taken too often as a tenant's slug; choose another name")]
    SlugTaken(String),
    #[error("a setting cannot be changed: {0}")]
    Setting(#[from] ChangeError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A user of a test file.
#[derive(Debug, Clone)]
pub struct TestUser {
    pub(super) key: ApiKey,
    /// Known where the run created the user.
    pub(super) account: Option<Account>,
}

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) email: String,
    pub(super) tenant: TenantId,
    pub(super) tenant_slug: String,
}

impl TestUser {
    /// A user of an existing registry.
    #[must_use]
    pub const fn existing(key: ApiKey) -> Self {
        Self { key, account: None }
    }

    #[must_use]
    pub const fn key(&self) -> &ApiKey {
        &self.key
    }
}

/// What a run created in a throw-away database.
pub struct Fixture {
    db: AdminDb,
    /// Slugs by the name in the file.
    slugs: BTreeMap<String, (TenantId, String)>,
    seen: HashSet<EventId>,
}

impl Fixture {
    /// Creates the file's tenants. A slug that an earlier run has taken gets a number: `acme-2`.
    ///
    /// # Errors
    /// [`FixtureError`].
    pub async fn create(db: &AdminDb, actor: &Actor, file: &TestFile) -> Result<Self, FixtureError> {
        let mut slugs = BTreeMap::new();
        for (name, spec) in &file.tenants {
            let (tenant, slug) = create_tenant(db, actor, name).await?;
            change_settings(db, actor, tenant, spec).await?;
            slugs.insert(name.clone(), (tenant, slug));
        }
        Ok(Self {
            db: db.clone(),
            slugs,
            seen: HashSet::new(),
        })
    }

    /// The slugs of the tenants that want the sample skills.
    pub fn tenants_with_samples<'a>(&'a self, file: &'a TestFile) -> impl Iterator<Item = &'a str> {
        self.slugs
            .iter()
            .filter(|(name, _)| file.tenants.get(*name).is_some_and(|tenant| tenant.samples))
            .map(|(_, (_, slug))| slug.as_str())
    }

    /// Creates the file's users, each with an API key of the listed scopes.
    ///
    /// # Errors
    /// [`FixtureError`].
    pub async fn create_users(
        &self,
        actor: &Actor,
        file: &TestFile,
    ) -> Result<BTreeMap<String, TestUser>, FixtureError> {
        let mut users = BTreeMap::new();
        for (name, user) in &file.users {
            // The parser has checked that the tenant exists.
            let Some((tenant, slug)) = self.slugs.get(&user.tenant) else {
                continue;
            };
            let tx = TenantTx::begin_as_admin(&self.db, *tenant).await?;
            let account = administration::users::find_or_create(&tx, actor, &user.email, name).await?;
            let new = NewApiKey {
                user: account.id,
                name: "skillkeep test".to_owned(),
                scopes: user.scopes.clone(),
                only_skills: None,
                only_tools: None,
                expires_at: None,
                call_limits: CallLimits::default(),
            };
            let (_, key) = administration::api_keys::create(&tx, actor, &new).await?;
            search::commit(tx).await?;
            let account = Account {
                email: user.email.as_str().to_owned(),
                tenant: *tenant,
                tenant_slug: slug.clone(),
            };
            users.insert(
                name.clone(),
                TestUser {
                    key,
                    account: Some(account),
                },
            );
        }
        Ok(users)
    }

    /// The events of the account since the last call of this function. `calls` is an estimate of their number.
    pub(super) async fn new_events(
        &mut self,
        account: &Account,
        calls: u32,
    ) -> Result<Vec<RecentEvent>, DbError> {
        let tx = TenantTx::begin_as_admin(&self.db, account.tenant).await?;
        let recent = usage::recent(&tx, 100 + i64::from(calls) * 2).await?;
        tx.rollback().await?;
        let mut new = Vec::new();
        for event in recent {
            if self.seen.insert(event.id) && event.email.as_deref() == Some(account.email.as_str()) {
                new.push(event);
            }
        }
        Ok(new)
    }
}

async fn change_settings(
    db: &AdminDb,
    actor: &Actor,
    tenant: TenantId,
    spec: &TenantSpec,
) -> Result<(), FixtureError> {
    let tx = TenantTx::begin_as_admin(db, tenant).await?;
    for (key, value) in &spec.settings {
        administration::settings::set(&tx, actor, *key, value).await?;
    }
    search::commit(tx).await?;
    Ok(())
}

async fn create_tenant(db: &AdminDb, actor: &Actor, name: &str) -> Result<(TenantId, String), FixtureError> {
    for number in 1..=MAX_SUFFIX {
        let slug = if number == 1 {
            name.to_owned()
        } else {
            format!("{name}-{number}")
        };
        let Ok(parsed) = slug.parse() else { break };
        match administration::tenants::create(db, actor, &parsed, name, CallLimits::default()).await {
            Ok(id) => return Ok((id, slug)),
            Err(TenantError::SlugTaken) => {}
            Err(error) => {
                return Err(FixtureError::Tenant {
                    name: name.to_owned(),
                    error,
                });
            }
        }
    }
    Err(FixtureError::SlugTaken(name.to_owned()))
}
