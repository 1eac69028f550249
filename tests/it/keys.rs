//! API keys: scopes, restrictions, revocation, expiry and rotation.

mod brute_force;
mod leaked_keys;
mod limits;
mod month_limits;
mod suspended;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use rmcp::service::ServiceError;
use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::ids::{ApiKeyId, TenantId};
use skillkeep::server::ServiceLimits;
use skillkeep::tenancy::api_keys::{self, NewApiKey};
use skillkeep::tenancy::tenants::{self, Status};
use skillkeep::tenancy::{ApiKey, CallLimits, Scope, Scopes, users};
use skillkeep::tools::ToolName;

use crate::harness::{Client, TestDb};
use crate::helpers::{RawClient, single_connection_service, table_checksums, test_hook, valid_arguments};

async fn key_id(db: &TestDb, key: &ApiKey) -> ApiKeyId {
    let row = db
        .superuser()
        .await
        .query_one(
            "SELECT id FROM api_keys WHERE key_hash = $1",
            &[&key.hash().as_bytes().as_slice()],
        )
        .await
        .unwrap();
    ApiKeyId::from_uuid(row.get(0))
}

/// Sets columns of the key's row, as a superuser.
async fn alter(db: &TestDb, key: &ApiKey, set: &str) {
    let id = key_id(db, key).await;
    let changed = db
        .superuser()
        .await
        .execute(&format!("UPDATE api_keys SET {set} WHERE id = '{id}'"), &[])
        .await
        .unwrap();
    assert_eq!(changed, 1);
}

async fn assert_rejected(client: &Client) {
    match client.call("whoami", json!({})).await {
        Err(ServiceError::McpError(error)) => {
            assert_eq!(error.code.0, -31_001, "{error:?}");
            assert!(error.message.contains("not valid"), "{error:?}");
            assert_eq!(error.data, None);
        }
        other => panic!("{other:?}"),
    }
    assert!(client.service.list_all_tools().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_key_is_rejected_on_a_reused_connection() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let service =
        single_connection_service(&db, ServiceLimits::default(), test_hook(|_, _| async {}.boxed()));
    let client = Client::connect(&service, &key).await;
    for _ in 0..3 {
        client.ok("whoami", json!({})).await;
    }
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    api_keys::revoke(&tx, key_id(&db, &key).await).await.unwrap();
    skillkeep::search::commit(tx).await.unwrap();
    assert_rejected(&client).await;
    assert_eq!(db.events(tenant).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_rejected_after_its_expiry() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let client = Client::connect(&db.service(), &key).await;
    alter(&db, &key, "expires_at = now() + interval '2 seconds'").await;
    client.ok("whoami", json!({})).await;
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_rejected(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_key_works_until_its_grace_period_ends() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let old = db.key(tenant, "ada@example.com", &[Scope::SkillsRead]).await.1;
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let (_, new) = api_keys::rotate(&tx, key_id(&db, &old).await, Duration::from_secs(2))
        .await
        .unwrap();
    skillkeep::search::commit(tx).await.unwrap();
    let service = db.service();
    let (with_old, with_new) = (
        Client::connect(&service, &old).await,
        Client::connect(&service, &new).await,
    );
    with_old.ok("whoami", json!({})).await;
    let properties = with_new.ok("whoami", json!({})).await;
    assert_eq!(
        (&properties["user"], &properties["scopes"]),
        (&json!("ada@example.com"), &json!(["skills:read"]))
    );
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_rejected(&with_old).await;
    with_new.ok("whoami", json!({})).await;
    // A key is rotated at most once.
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    assert!(
        api_keys::rotate(&tx, key_id(&db, &old).await, Duration::from_secs(60))
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rejected_while_their_tenant_or_user_is_suspended() {
    let db = TestDb::new().await;
    let (tenant, other) = (db.tenant("acme").await, db.tenant("other").await);
    let service = db.service();
    let client = Client::connect(&service, &db.full_key(tenant).await).await;
    let colleague = Client::connect(&service, &db.key(tenant, "bob@example.com", &Scope::ALL).await.1).await;
    let other_client = Client::connect(&service, &db.full_key(other).await).await;
    for (status, works) in [(Status::Suspended, false), (Status::Active, true)] {
        let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
        assert!(tenants::set_status(&tx, status).await.unwrap());
        skillkeep::search::commit(tx).await.unwrap();
        for client in [&client, &colleague] {
            if works {
                client.ok("whoami", json!({})).await;
            } else {
                assert_rejected(client).await;
            }
        }
        other_client.ok("whoami", json!({})).await;
    }
    for (status, works) in [(Status::Suspended, false), (Status::Active, true)] {
        let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
        let ada = "ada@example.com".parse().unwrap();
        assert!(users::set_status(&tx, &ada, status).await.unwrap());
        skillkeep::search::commit(tx).await.unwrap();
        if works {
            client.ok("whoami", json!({})).await;
        } else {
            assert_rejected(&client).await;
        }
        colleague.ok("whoami", json!({})).await;
        // The other tenant has a user with the same address.
        other_client.ok("whoami", json!({})).await;
    }
}

/// The secret of `key` with the tenant of `to` and a valid checksum: a forged key.
fn with_tenant_of(key: &ApiKey, to: &ApiKey) -> ApiKey {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = format!("skeep_{}{}", &to.reveal()[6..28], &key.reveal()[28..60]);
    let mut sum = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(sum % 62) as usize];
        sum /= 62;
    }
    let forged: ApiKey = format!("{body}{}", std::str::from_utf8(&digits).unwrap())
        .parse()
        .unwrap();
    assert_eq!(forged.claimed_tenant(), to.claimed_tenant());
    forged
}

#[tokio::test(flavor = "multi_thread")]
async fn key_with_forged_tenant_is_rejected_before_any_tool() {
    let db = TestDb::new().await;
    let (mine, theirs) = (db.tenant("mine").await, db.tenant("theirs").await);
    let (my_key, their_key) = (db.full_key(mine).await, db.full_key(theirs).await);
    let ran = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ran);
    let block = test_hook(move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        async {}.boxed()
    });
    let service = single_connection_service(&db, ServiceLimits::default(), block);
    let both = async || {
        // Denied requests are added to the audit log of the claimed tenant.
        let [mut mine, mut theirs] = [
            table_checksums(&db, mine).await,
            table_checksums(&db, theirs).await,
        ];
        mine.remove("audit_logs");
        theirs.remove("audit_logs");
        (mine, theirs)
    };
    let before = both().await;
    assert_rejected(&Client::connect(&service, &with_tenant_of(&my_key, &their_key)).await).await;
    assert_rejected(&Client::connect(&service, &ApiKey::generate(theirs, &mut rand::rng())).await).await;
    assert_rejected(&Client::connect(&service, &ApiKey::generate(TenantId::new(), &mut rand::rng())).await)
        .await;
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    assert_eq!(both().await, before);
    // Malformed calls and unknown tools are rejected for the same reason.
    let mut wire = RawClient::connect(&service, &with_tenant_of(&my_key, &their_key)).await;
    for (id, params) in [(1, json!({})), (2, json!({"name": "nothing"}))] {
        assert_eq!(wire.call(id, params).await["error"]["code"], -31_001);
    }
    assert_eq!(both().await, before);
    // The next caller on the same database connection gets their own identity.
    let next = Client::connect(&service, &their_key).await;
    assert_eq!(next.ok("whoami", json!({})).await["tenant"], "theirs");
}

/// Whether the key may call the tool. The arguments are valid; the skill need not exist.
async fn can_call_tool(client: &Client, tool: ToolName) -> bool {
    let answer = client.call(tool.as_str(), valid_arguments(tool)).await.unwrap();
    let content: Value = serde_json::to_value(&answer.content).unwrap();
    !content.to_string().contains("This API key")
}

async fn listed(client: &Client) -> Vec<String> {
    let tools = client.service.list_all_tools().await.unwrap();
    tools.iter().map(|tool| tool.name.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn scope_permits_and_lists_exactly_its_tools() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let service = db.service();
    for (number, (scope, tools)) in [
        (
            Scope::SkillsRead,
            vec![
                "search_skills",
                "get_skill",
                "check_installed",
                "recommend_skills",
                "whoami",
            ],
        ),
        (
            Scope::SkillsInstall,
            vec!["install_skill", "confirm_install", "whoami"],
        ),
        (Scope::UsageWrite, vec!["record_usage", "whoami", "rate_skill"]),
        (Scope::UsageRead, vec!["usage_report", "whoami"]),
        (Scope::SkillsReview, vec!["whoami", "review_skill"]),
        (
            Scope::SkillsPublish,
            vec![
                "whoami",
                "publish_skill",
                "fork_skill",
                "update_skill",
                "yank_skill",
            ],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("user-{number}@example.com");
        let client = Client::connect(&service, &db.key(tenant, &email, &[scope]).await.1).await;
        assert_eq!(listed(&client).await, tools, "{scope:?}");
        for tool in ToolName::ALL {
            let allowed = tools.contains(&tool.as_str());
            assert_eq!(
                can_call_tool(&client, *tool).await,
                allowed,
                "{scope:?} {}",
                tool.as_str()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_restricted_to_tools_calls_and_lists_only_these() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let user = db.key(tenant, "ada@example.com", &Scope::ALL).await.0;
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let new = NewApiKey {
        user,
        name: "restricted".to_owned(),
        scopes: Scopes::new(Scope::ALL),
        only_skills: None,
        only_tools: Some(vec!["search_skills".to_owned(), "usage_report".to_owned()]),
        expires_at: None,
        call_limits: CallLimits::default(),
    };
    let (_, key) = api_keys::create(&tx, &new).await.unwrap();
    skillkeep::search::commit(tx).await.unwrap();
    let client = Client::connect(&db.service(), &key).await;
    assert_eq!(listed(&client).await, ["search_skills", "usage_report"]);
    for tool in ToolName::ALL {
        let allowed = matches!(tool, ToolName::SearchSkills | ToolName::UsageReport);
        assert_eq!(can_call_tool(&client, *tool).await, allowed, "{}", tool.as_str());
    }
    let events = db.events(tenant).await;
    assert_eq!(
        events
            .iter()
            .filter(|(_, outcome)| outcome == "missing_scope")
            .count(),
        ToolName::ALL.len() - 2
    );
}
