//! Administrative operations on a tenant, applied to the database and to the model.

use rand::RngExt as _;
use skillkeep::db::TenantTx;
use skillkeep::tenancy::api_keys::{self, NewApiKey};
use skillkeep::tenancy::tenants::{self, Status};
use skillkeep::tenancy::{CallLimits, Scope, Scopes, users};

use super::state::{Key, Tenant, USERS, Version};

const SLUGS: [&str; 6] = [
    "fill-pdf",
    "write-notes",
    "debug-test",
    "review-sql",
    "plan-trip",
    "sum-up",
];
const MAX_KEYS: usize = 8;

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
        tx.commit().await.unwrap();
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
        tx.commit().await.unwrap();
        self.keys.push(Key {
            key,
            id,
            user,
            scopes,
            revoked: false,
            client: None,
        });
    }

    /// Publishes a new skill or a new version, with a word that no other version contains.
    pub(super) async fn publish(&mut self) {
        let slug = SLUGS[self.random.random_range(0..SLUGS.len())];
        let word: String = (0..14)
            .map(|_| char::from(self.random.random_range(b'a'..=b'z')))
            .collect();
        let description = format!("Does {word} for those who need it.");
        // The text that `TestDb::skill` stores.
        let skill_md = format!("---\nname: {slug}\ndescription: {description}\n---\n\n# {slug}\n\nDo it.\n");
        self.fixtures.db.skill(self.id, slug, &description, &[]).await;
        let skill = self.skills.entry(slug.to_owned()).or_default();
        skill.versions.push(Version {
            skill_md,
            word,
            description,
        });
    }

    async fn set_user(&mut self, user: usize, active: bool) {
        let status = if active { Status::Active } else { Status::Suspended };
        let tx = self.tx().await;
        assert!(
            users::set_status(&tx, &USERS[user].parse().unwrap(), status)
                .await
                .unwrap()
        );
        tx.commit().await.unwrap();
        self.users[user].1 = active;
    }

    async fn set_tenant(&mut self, active: bool) {
        let status = if active { Status::Active } else { Status::Suspended };
        let tx = self.tx().await;
        assert!(tenants::set_status(&tx, status).await.unwrap());
        tx.commit().await.unwrap();
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
                    self.publish().await;
                }
            }
            4 | 5 => {
                let user = self.random.random_range(0..USERS.len());
                let scopes = match self.random.random_range(0..4) {
                    0 => vec![Scope::SkillsRead],
                    1 => vec![Scope::SkillsInstall, Scope::UsageWrite],
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
                    tx.commit().await.unwrap();
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
