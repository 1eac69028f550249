//! Signatures of versions: what a client can verify, and that nothing is published without one where a tenant signs.

mod attacks;
mod commands;
mod installing;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use skill_signature::{PublicKey, Signature, SignatureError, Statement, verify};
use skillkeep::ids::TenantId;
use skillkeep::registry::administration;
use skillkeep::registry::audit::Actor;
use skillkeep::registry::private_keys::SigningKeys;
use skillkeep::registry::settings::SettingKey;
use skillkeep::server::{CallService, ServiceLimits};

use crate::command::admin;
use crate::harness::{Client, TestDb};

/// A tenant `acme` and a folder for its private keys.
struct Signed {
    db: TestDb,
    tenant: TenantId,
    folder: tempfile::TempDir,
}

impl Signed {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        Self { db, tenant, folder }
    }

    fn folder(&self) -> String {
        self.folder.path().display().to_string()
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("acme.key")
    }

    /// A command of the administrator, with the private keys.
    fn run(&self, arguments: &[&str]) -> Value {
        let folder = self.folder();
        let rest = ["--signing-keys", &folder, "--tenant", "acme", "--json"];
        admin(&self.db, &[arguments, &rest].concat()).json()
    }

    /// Creates a key and returns its public key.
    fn create_key(&self) -> PublicKey {
        let created = self.run(&["signing-key", "create"]);
        created["public_key"].as_str().unwrap().parse().unwrap()
    }

    fn service(&self) -> Arc<CallService> {
        let keys = SigningKeys::in_folder(self.folder.path()).unwrap();
        let service = CallService::new(self.db.server.clone(), ServiceLimits::default());
        Arc::new(service.with_signing_keys(keys))
    }

    /// A user with every scope, whose server has the private keys.
    async fn client(&self) -> Client {
        Client::connect(&self.service(), &self.db.full_key(self.tenant).await).await
    }

    async fn signatures(&self) -> i64 {
        self.db.value("SELECT count(*) FROM version_signatures").await
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
}

fn publication(name: &str, text: &str) -> Value {
    let skill_md = format!("---\nname: {name}\ndescription: Sorts tide tables.\n---\n\n{text}\n");
    json!({"files": [{"path": "SKILL.md", "text": skill_md}]})
}

/// Verifies the signature in an answer as a client does.
fn check(answer: &Value, key: &PublicKey) -> Result<(), SignatureError> {
    let text = |field: &str| answer["signature"][field].as_str().unwrap().to_owned();
    let slug = answer["skill"].as_str().unwrap().parse().unwrap();
    let statement = Statement {
        skill: &slug,
        version: answer["version"].as_str().unwrap(),
        digest: answer["digest"].as_str().unwrap().parse().unwrap(),
    };
    verify(
        key,
        &statement,
        &Signature::parse(&text("key_id"), &text("value"))?,
    )
}

fn install(name: &str) -> Value {
    json!({"skill": name, "assistant": "codex"})
}

#[tokio::test(flavor = "multi_thread")]
async fn published_version_is_signed_and_answers_carry_the_signature() {
    let signed = Signed::new().await;
    let client = signed.client().await;
    client
        .ok("publish_skill", publication("sort-tides", "Before."))
        .await;
    let answer = client.ok("install_skill", install("sort-tides")).await;
    assert_eq!(answer.get("signature"), None);
    assert_eq!(client.ok("whoami", json!({})).await.get("signing_keys"), None);

    let key = signed.create_key();
    let known = client.ok("whoami", json!({})).await["signing_keys"].clone();
    let expected = json!([{"key_id": key.key_id().to_string(), "public_key": key.to_string()}]);
    assert_eq!(known, expected);
    client
        .ok("publish_skill", publication("sort-tides", "After."))
        .await;
    for answer in [
        client.ok("install_skill", install("sort-tides")).await,
        client.ok("get_skill", json!({"skill": "sort-tides"})).await,
    ] {
        assert_eq!(answer["version"], "2");
        assert_eq!(check(&answer, &key), Ok(()));
        let mut changed = answer.clone();
        changed["version"] = json!("1");
        assert_eq!(check(&changed, &key), Err(SignatureError::Invalid));
    }
    let entry: String = signed
        .db
        .value("SELECT details->'after'->>'signed_by' FROM audit_logs WHERE action = 'skill.publish' ORDER BY seq DESC LIMIT 1")
        .await;
    assert_eq!(entry, key.key_id().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_the_private_key_publishes_nothing() {
    let signed = Signed::new().await;
    let client = signed.client().await;
    client
        .ok("publish_skill", publication("sort-tides", "One."))
        .await;
    signed.create_key();
    let key = signed.db.full_key(signed.tenant).await;
    let other = Client::connect(&signed.db.service(), &key).await;
    let rows = "SELECT (SELECT count(*) FROM skill_versions) + (SELECT count(*) FROM blobs) + (SELECT count(*) FROM skills)";
    let before: i64 = signed.db.value(rows).await;
    for arguments in [
        publication("sort-tides", "Two."),
        publication("sort-ships", "One."),
    ] {
        let refused = other.error("publish_skill", arguments.clone()).await;
        assert!(refused.contains("no private keys are configured"), "{refused}");
    }
    let fork = json!({"skill": "sort-tides", "new_name": "my-tides"});
    let refused = other.error("fork_skill", fork).await;
    assert!(
        refused.contains("this process cannot use its private key"),
        "{refused}"
    );
    std::fs::set_permissions(signed.key_file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = client
        .error("publish_skill", publication("sort-ships", "One."))
        .await;
    assert!(refused.contains("other accounts can read"), "{refused}");
    assert!(!refused.contains(&signed.folder()), "{refused}");
    assert_eq!(signed.db.value::<i64>(rows).await, before);
    // A draft is not signed, so it can be stored; it cannot be published.
    let mut draft = publication("sort-ships", "One.");
    draft["draft"] = json!(true);
    client.ok("publish_skill", draft).await;
    let submit = json!({"skill": "sort-ships", "action": "submit"});
    let refused = client.error("update_skill", submit.clone()).await;
    assert!(refused.contains("other accounts can read"), "{refused}");
    assert_eq!(signed.signatures().await, 0);
    std::fs::set_permissions(signed.key_file(), std::fs::Permissions::from_mode(0o600)).unwrap();
    client.ok("update_skill", submit).await;
    assert_eq!(signed.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn version_is_signed_when_a_review_publishes_it() {
    let signed = Signed::new().await;
    let key = signed.create_key();
    signed.set(SettingKey::ReviewPolicy, "required").await;
    let author = signed.client().await;
    author
        .ok("publish_skill", publication("sort-tides", "One."))
        .await;
    assert_eq!(signed.signatures().await, 0);
    let reviewer = skillkeep::tenancy::Scope::ALL;
    let (_, reviewer) = signed.db.key(signed.tenant, "bob@example.com", &reviewer).await;
    let approval = json!({"skill": "sort-tides", "verdict": "approve", "decided_by": "person"});
    let without_key = Client::connect(&signed.db.service(), &reviewer).await;
    let refused = without_key.error("review_skill", approval.clone()).await;
    assert!(refused.contains("no private keys are configured"), "{refused}");
    let reviewer = Client::connect(&signed.service(), &reviewer).await;
    reviewer.ok("review_skill", approval).await;
    assert_eq!(
        check(&author.ok("install_skill", install("sort-tides")).await, &key),
        Ok(())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn new_versions_are_signed_with_the_newest_key_and_old_signatures_stay() {
    let signed = Signed::new().await;
    let client = signed.client().await;
    let first = signed.create_key();
    client
        .ok("publish_skill", publication("sort-tides", "One."))
        .await;
    let second = signed.create_key();
    client
        .ok("publish_skill", publication("sort-tides", "Two."))
        .await;
    signed.run(&["signing-key", "retire", &first.key_id().to_string()]);
    let version = async |version: &str| {
        let arguments = json!({"skill": "sort-tides", "version": version, "assistant": "codex"});
        client.ok("install_skill", arguments).await
    };
    assert_eq!(check(&version("1").await, &first), Ok(()));
    assert_eq!(check(&version("2").await, &second), Ok(()));
    assert_eq!(check(&version("2").await, &first), Err(SignatureError::OtherKey));
    let known = client.ok("whoami", json!({})).await["signing_keys"].clone();
    assert_eq!(known[0]["key_id"], second.key_id().to_string());
    assert_eq!(
        (&known[1]["key_id"], &known[1]["retired"]),
        (&json!(first.key_id().to_string()), &json!(true))
    );
    // The retired key leaked: what only it signed is signed again.
    assert_eq!(signed.run(&["signing-key", "sign-missing"])["signed"], 0);
    assert_eq!(
        signed.run(&["signing-key", "sign-missing", "--retired"])["signed"],
        1
    );
    assert_eq!(check(&version("1").await, &second), Ok(()));
    // Without an active key, versions are unsigned, as before the first key.
    signed.run(&["signing-key", "retire", &second.key_id().to_string()]);
    client
        .ok("publish_skill", publication("sort-tides", "Three."))
        .await;
    assert_eq!(version("3").await.get("signature"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_and_forked_skills_are_signed_for_their_own_slugs() {
    let signed = Signed::new().await;
    let key = signed.create_key();
    let client = signed.client().await;
    client
        .ok("publish_skill", publication("sort-tides", "One."))
        .await;
    client
        .ok("publish_skill", publication("sort-tides", "Two."))
        .await;
    client
        .ok(
            "fork_skill",
            json!({"skill": "sort-tides", "new_name": "my-tides"}),
        )
        .await;
    assert_eq!(
        check(&client.ok("install_skill", install("my-tides")).await, &key),
        Ok(())
    );
    let rename = json!({"skill": "sort-tides", "action": "rename", "to": "order-tides"});
    let api_key = signed.db.full_key(signed.tenant).await;
    let without_key = Client::connect(&signed.db.service(), &api_key).await;
    let refused = without_key.error("update_skill", rename.clone()).await;
    assert!(refused.starts_with("Nothing was changed"), "{refused}");
    client.ok("update_skill", rename).await;
    for version in ["1", "2"] {
        // By the former slug too: the answer names the present one.
        let arguments = json!({"skill": "sort-tides", "version": version, "assistant": "codex"});
        let answer = client.ok("install_skill", arguments).await;
        assert_eq!(answer["skill"], "order-tides");
        assert_eq!(check(&answer, &key), Ok(()));
    }
    let back = json!({"skill": "order-tides", "action": "rename", "to": "sort-tides"});
    client.ok("update_skill", back).await;
    assert_eq!(
        check(&client.ok("install_skill", install("sort-tides")).await, &key),
        Ok(())
    );
}
