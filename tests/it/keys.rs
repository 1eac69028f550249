//! API keys: what they open, and that they open nothing once they have ended.

mod brute_force;
mod leaked_keys;
mod limits;
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
use skillkeep::tenancy::api_keys::{self, NewKey};
use skillkeep::tenancy::tenants::{self, Status};
use skillkeep::tenancy::{ApiKey, CallLimits, Scope, Scopes, users};
use skillkeep::tools::ToolName;

use crate::harness::{Client, TestDb};
use crate::helpers::{Wire, single_connection_service, table_checksums, test_hook};

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

/// Sets a column of the key, from outside.
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

async fn assert_refused(client: &Client) {
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
async fn a_revoked_key_runs_not_one_more_call_on_a_warm_pool() {
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
    tx.commit().await.unwrap();
    assert_refused(&client).await;
    assert_eq!(db.events(tenant).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_is_refused_from_its_moment_on() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let client = Client::connect(&db.service(), &key).await;
    alter(&db, &key, "expires_at = now() + interval '2 seconds'").await;
    client.ok("whoami", json!({})).await;
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_refused(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_works_through_its_grace_and_not_after() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let old = db.key(tenant, "ada@example.com", &[Scope::SkillsRead]).await.1;
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let (_, new) = api_keys::rotate(&tx, key_id(&db, &old).await, Duration::from_secs(2))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let service = db.service();
    let (with_old, with_new) = (
        Client::connect(&service, &old).await,
        Client::connect(&service, &new).await,
    );
    with_old.ok("whoami", json!({})).await;
    let rights = with_new.ok("whoami", json!({})).await;
    assert_eq!(
        (&rights["user"], &rights["scopes"]),
        (&json!("ada@example.com"), &json!(["skills:read"]))
    );
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_refused(&with_old).await;
    with_new.ok("whoami", json!({})).await;
    // Its grace cannot be had twice.
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    assert!(
        api_keys::rotate(&tx, key_id(&db, &old).await, Duration::from_secs(60))
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_suspended_tenant_or_user_rest_until_it_may_work_again() {
    let db = TestDb::new().await;
    let (tenant, other) = (db.tenant("acme").await, db.tenant("other").await);
    let service = db.service();
    let client = Client::connect(&service, &db.full_key(tenant).await).await;
    let colleague = Client::connect(&service, &db.key(tenant, "bob@example.com", &Scope::ALL).await.1).await;
    let stranger = Client::connect(&service, &db.full_key(other).await).await;
    for (status, works) in [(Status::Suspended, false), (Status::Active, true)] {
        let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
        assert!(tenants::set_status(&tx, status).await.unwrap());
        tx.commit().await.unwrap();
        for client in [&client, &colleague] {
            if works {
                client.ok("whoami", json!({})).await;
            } else {
                assert_refused(client).await;
            }
        }
        stranger.ok("whoami", json!({})).await;
    }
    for (status, works) in [(Status::Suspended, false), (Status::Active, true)] {
        let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
        let ada = "ada@example.com".parse().unwrap();
        assert!(users::set_status(&tx, &ada, status).await.unwrap());
        tx.commit().await.unwrap();
        if works {
            client.ok("whoami", json!({})).await;
        } else {
            assert_refused(&client).await;
        }
        colleague.ok("whoami", json!({})).await;
        // She has the same address there.
        stranger.ok("whoami", json!({})).await;
    }
}

/// The key with another tenant in it, and a checksum that fits: what an attacker makes of a key of his own.
fn swapped(key: &ApiKey, to: &ApiKey) -> ApiKey {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = format!("skeep_{}{}", &to.reveal()[6..28], &key.reveal()[28..60]);
    let mut sum = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(sum % 62) as usize];
        sum /= 62;
    }
    let swapped: ApiKey = format!("{body}{}", std::str::from_utf8(&digits).unwrap())
        .parse()
        .unwrap();
    assert_eq!(swapped.claimed_tenant(), to.claimed_tenant());
    swapped
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_claims_another_tenant_is_refused_and_reaches_no_tool() {
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
        // What was refused is in the audit log, which is the tenant's own.
        let [mut mine, mut theirs] = [
            table_checksums(&db, mine).await,
            table_checksums(&db, theirs).await,
        ];
        mine.remove("audit_logs");
        theirs.remove("audit_logs");
        (mine, theirs)
    };
    let before = both().await;
    assert_refused(&Client::connect(&service, &swapped(&my_key, &their_key)).await).await;
    assert_refused(&Client::connect(&service, &ApiKey::generate(theirs, &mut rand::rng())).await).await;
    assert_refused(&Client::connect(&service, &ApiKey::generate(TenantId::new(), &mut rand::rng())).await)
        .await;
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    assert_eq!(both().await, before);
    // Malformed calls and unknown tools come no further.
    let mut wire = Wire::connect(&service, &swapped(&my_key, &their_key)).await;
    for (id, params) in [(1, json!({})), (2, json!({"name": "nothing"}))] {
        assert_eq!(wire.call(id, params).await["error"]["code"], -31_001);
    }
    assert_eq!(both().await, before);
    // Whoever is next on the connection is who his key says.
    let next = Client::connect(&service, &their_key).await;
    assert_eq!(next.ok("whoami", json!({})).await["tenant"], "theirs");
}

/// The outcome of calling a tool with arguments that are right, whether or not there is such a skill.
async fn can_call_tool(client: &Client, tool: ToolName) -> bool {
    let arguments = match tool {
        ToolName::SearchSkills | ToolName::UsageReport | ToolName::Whoami => json!({}),
        ToolName::GetSkill => json!({"skill": "x"}),
        ToolName::InstallSkill => json!({"skill": "x", "assistant": "codex"}),
        ToolName::RecordUsage => json!({"skill": "x", "outcome": "helped"}),
        ToolName::ConfirmInstall => json!({
            "install_id": ApiKeyId::new().to_string(),
            "files": [{"path": "a", "digest": format!("sha256:{}", "0".repeat(64))}],
        }),
    };
    let answer = client.call(tool.as_str(), arguments).await.unwrap();
    let words: Value = serde_json::to_value(&answer.content).unwrap();
    !words.to_string().contains("This API key")
}

async fn listed(client: &Client) -> Vec<String> {
    let tools = client.service.list_all_tools().await.unwrap();
    tools.iter().map(|tool| tool.name.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_opens_its_tools_and_no_others_and_the_list_shows_just_these() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let service = db.service();
    for (number, (scope, tools)) in [
        (Scope::SkillsRead, vec!["search_skills", "get_skill", "whoami"]),
        (
            Scope::SkillsInstall,
            vec!["install_skill", "confirm_install", "whoami"],
        ),
        (Scope::UsageWrite, vec!["record_usage", "whoami"]),
        (Scope::UsageRead, vec!["usage_report", "whoami"]),
        (Scope::SkillsReview, vec!["whoami"]),
        (Scope::SkillsPublish, vec!["whoami"]),
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
async fn a_key_limited_to_tools_calls_and_lists_only_these() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let user = db.key(tenant, "ada@example.com", &Scope::ALL).await.0;
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let new = NewKey {
        user,
        name: "narrow".to_owned(),
        scopes: Scopes::new(Scope::ALL),
        only_skills: None,
        only_tools: Some(vec!["search_skills".to_owned(), "usage_report".to_owned()]),
        expires_at: None,
        call_limits: CallLimits::default(),
    };
    let (_, key) = api_keys::create(&tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    let client = Client::connect(&db.service(), &key).await;
    assert_eq!(listed(&client).await, ["search_skills", "usage_report"]);
    for tool in ToolName::ALL {
        let allowed = matches!(tool, ToolName::SearchSkills | ToolName::UsageReport);
        assert_eq!(can_call_tool(&client, *tool).await, allowed, "{}", tool.as_str());
    }
    let refused = db.events(tenant).await;
    assert_eq!(
        refused
            .iter()
            .filter(|(_, outcome)| outcome == "missing_scope")
            .count(),
        ToolName::ALL.len() - 2
    );
}
