//! The life of a skill through the tools: published, reviewed, forked, rated, renamed, withdrawn.

mod limited_keys;
mod permissions;
mod publishing;
mod reviewing;
mod withdrawing;

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::registry::administration;
use skillkeep::registry::audit::Actor;
use skillkeep::registry::settings::SettingKey;
use skillkeep::tenancy::Scope;

use crate::harness::{Client, TestDb};

/// A tenant with an author, a reviewer and another user. None of them is an administrator.
struct Team {
    db: TestDb,
    tenant: TenantId,
    author: Client,
    reviewer: Client,
    other: Client,
}

const USER_SCOPES: [Scope; 5] = [
    Scope::SkillsRead,
    Scope::SkillsInstall,
    Scope::SkillsPublish,
    Scope::UsageWrite,
    Scope::UsageRead,
];

impl Team {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        let service = db.service();
        let client = async |email: &str, scopes: &[Scope]| {
            let (_, key) = db.key(tenant, email, scopes).await;
            Client::connect(&service, &key).await
        };
        let author = client("author@example.com", &USER_SCOPES).await;
        let other = client("other@example.com", &USER_SCOPES).await;
        let mut scopes = USER_SCOPES.to_vec();
        scopes.push(Scope::SkillsReview);
        let reviewer = client("reviewer@example.com", &scopes).await;
        Self {
            tenant,
            author,
            reviewer,
            other,
            db,
        }
    }

    async fn set(&self, key: SettingKey, value: &str) {
        let tx = skillkeep::db::TenantTx::begin_as_admin(&self.db.admin, self.tenant)
            .await
            .unwrap();
        let actor = Actor::Admin("test".to_owned());
        administration::settings::set(&tx, &actor, key, value)
            .await
            .unwrap();
        skillkeep::search::commit(tx).await.unwrap();
    }

    async fn found(&self, query: &str) -> Vec<String> {
        let answer = self.other.ok("search_skills", json!({"query": query})).await;
        let hits = answer["hits"].as_array().unwrap();
        hits.iter()
            .map(|hit| hit["skill"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The actions in the audit log, oldest first, without those of the set-up.
    async fn audited(&self) -> Vec<String> {
        let rows = self
            .db
            .superuser()
            .await
            .query(
                "SELECT action FROM audit_logs WHERE tenant_id = $1 AND action ~ '^(skill|scan|settings)' ORDER BY seq",
                &[self.tenant.as_uuid()],
            )
            .await
            .unwrap();
        rows.iter().map(|row| row.get("action")).collect()
    }
}

fn skill_md(name: &str, version: Option<&str>, text: &str) -> String {
    let version = version.map_or_else(String::new, |version| {
        format!("metadata:\n  version: \"{version}\"\n")
    });
    format!(
        "---\nname: {name}\ndescription: Sorts tide tables for harbours.\n{version}---\n\n# {name}\n\n{text}\n"
    )
}

fn files(name: &str, version: Option<&str>, text: &str) -> Value {
    json!([{"path": "SKILL.md", "text": skill_md(name, version, text)}])
}

async fn publish(client: &Client, name: &str, version: Option<&str>, text: &str) -> Value {
    client
        .ok("publish_skill", json!({"files": files(name, version, text)}))
        .await
}
