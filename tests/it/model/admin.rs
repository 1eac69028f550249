//! Administrative operations on a tenant, applied to the database and to the model.

use rand::RngExt as _;
use skillkeep::db::TenantTx;
use skillkeep::registry::administration;
use skillkeep::registry::audit::Actor;
use skillkeep::registry::settings::SettingKey;
use skillkeep::tenancy::api_keys::{self, NewApiKey};
use skillkeep::tenancy::tenants::{self, Status};
use skillkeep::tenancy::{CallLimits, Scope, Scopes, users};

use super::skill::Skill;
use super::state::{Key, Tenant, USERS};

const SLUGS: [&str; 6] = [
    "fill-pdf",
    "write-notes",
    "debug-test",
    "review-sql",
    "plan-trip",
    "sum-up",
];
const MAX_KEYS: usize = 8;

/// The scopes of a user who publishes, but neither reviews nor administers.
pub(super) fn author() -> Vec<Scope> {
    vec![
        Scope::SkillsRead,
        Scope::SkillsInstall,
        Scope::SkillsPublish,
        Scope::UsageWrite,
        Scope::UsageRead,
    ]
}

/// The scopes of an author who reviews.
pub(super) fn reviewer() -> Vec<Scope> {
    [author(), vec![Scope::SkillsReview]].concat()
}

impl Tenant {
    async fn tx(&self) -> TenantTx {
        TenantTx::begin_as_admin(&self.fixtures.db.admin, self.id)
            .await
            .unwrap()
    }

    pub(super) async fn make_users(&mut self) {
        let tx = self.tx().await;
        for email in USERS {
            let user = users::find_or_create(&tx, &email.parse().unwrap(), "")
                .await
                .unwrap();
            self.users.push((user.id, true));
        }
        skillkeep::search::commit(tx).await.unwrap();
    }

    pub(super) async fn make_settings(&self) {
        let publishers = USERS[..self.publishers].join(",");
        let policy = if self.review_required { "required" } else { "none" };
        let assistants = if self.assistants_count {
            "counted"
        } else {
            "ignored"
        };
        let is_limited = self.publishers < USERS.len();
        for (key, value) in [
            (SettingKey::ReviewPolicy, policy),
            (SettingKey::ReviewAssistants, assistants),
            (
                SettingKey::PublishUsers,
                if is_limited { &publishers } else { "everyone" },
            ),
        ] {
            let tx = self.tx().await;
            let actor = Actor::Admin("test".to_owned());
            administration::settings::set(&tx, &actor, key, value)
                .await
                .unwrap();
            skillkeep::search::commit(tx).await.unwrap();
        }
    }

    pub(super) async fn make_key(&mut self, user: usize, scopes: Vec<Scope>) {
        let tx = self.tx().await;
        let new = NewApiKey {
            user: self.users[user].0,
            name: "model".to_owned(),
            scopes: Scopes::new(scopes.iter().copied()),
            only_skills: None,
            only_tools: None,
            expires_at: None,
            call_limits: CallLimits::default(),
        };
        let (id, key) = api_keys::create(&tx, &new).await.unwrap();
        skillkeep::search::commit(tx).await.unwrap();
        self.keys_made += 1;
        self.keys.push(Key {
            key,
            id,
            user,
            scopes,
            revoked: false,
            client: None,
        });
    }

    /// Imports a new skill or a new version, with a word that no other version contains.
    pub(super) async fn import(&mut self) {
        let slug = SLUGS[self.random.random_range(0..SLUGS.len())];
        let mut version = self.random_version(slug, None);
        self.fixtures
            .db
            .skill(self.id, slug, &version.description, &[])
            .await;
        version.set_state("published");
        self.audit("skill.publish", 1);
        let skill = self.skills.entry(slug.to_owned()).or_insert_with(|| Skill {
            slug: slug.to_owned(),
            ..Skill::default()
        });
        version.label = skill.next_label();
        skill.add(version);
    }

    async fn set_user(&mut self, user: usize, active: bool) {
        let status = if active { Status::Active } else { Status::Suspended };
        let tx = self.tx().await;
        assert!(
            users::set_status(&tx, &USERS[user].parse().unwrap(), status)
                .await
                .unwrap()
        );
        skillkeep::search::commit(tx).await.unwrap();
        self.users[user].1 = active;
    }

    async fn set_tenant(&mut self, active: bool) {
        let status = if active { Status::Active } else { Status::Suspended };
        let tx = self.tx().await;
        assert!(tenants::set_status(&tx, status).await.unwrap());
        skillkeep::search::commit(tx).await.unwrap();
        self.active = active;
    }

    /// Activates the tenant and the first user and creates a valid API key, which is then the last one.
    pub(super) async fn repair(&mut self) {
        if !self.active {
            self.set_tenant(true).await;
        }
        if !self.users[0].1 {
            self.set_user(0, true).await;
        }
        self.make_key(0, Scope::ALL.to_vec()).await;
    }

    pub(super) async fn administer(&mut self) {
        match self.random.random_range(0..10) {
            0..=3 => {
                if self.skills.values().all(|skill| skill.versions.len() < 40) {
                    self.import().await;
                }
            }
            4 | 5 => {
                let user = self.random.random_range(0..USERS.len());
                let scopes = match self.random.random_range(0..6) {
                    0 => vec![Scope::SkillsRead],
                    1 => vec![Scope::SkillsInstall, Scope::UsageWrite],
                    2 => author(),
                    3 => reviewer(),
                    4 => [author(), vec![Scope::Admin]].concat(),
                    _ => Scope::ALL.to_vec(),
                };
                self.make_key(user, scopes).await;
                if self.keys.len() > MAX_KEYS {
                    self.keys.remove(0);
                }
            }
            6 => {
                let number = self.random.random_range(0..self.keys.len());
                if !self.keys[number].revoked {
                    let tx = self.tx().await;
                    api_keys::revoke(&tx, self.keys[number].id).await.unwrap();
                    skillkeep::search::commit(tx).await.unwrap();
                    self.keys[number].revoked = true;
                }
            }
            7 => {
                let user = self.random.random_range(0..USERS.len());
                self.set_user(user, !self.users[user].1).await;
            }
            _ => {
                // Mostly active, so that most calls succeed.
                if !self.active || self.one_in(4) {
                    self.set_tenant(!self.active).await;
                }
            }
        }
    }
}
