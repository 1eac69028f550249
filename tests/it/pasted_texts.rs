//! Texts of callers: keys that were pasted by mistake, characters that hide or control a terminal, texts without end.

use serde_json::{Value, json};
use skillkeep::shown_text::is_unsafe;

use crate::command::admin;
use crate::harness::{Client, TestDb};

/// Every row of every table that holds `text`.
async fn stored(db: &TestDb, text: &str) -> Vec<String> {
    let superuser = db.superuser().await;
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')";
    let mut found = Vec::new();
    for row in superuser.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let rows = format!("SELECT t::text FROM {table} t WHERE strpos(t::text, $1) > 0");
        for row in superuser.query(&rows, &[&text]).await.unwrap() {
            found.push(format!("{table}: {}", row.get::<_, String>(0)));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn key_pasted_into_any_text_is_not_stored() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "shared", "Of everybody.", &[]).await;
    let key = db.full_key(tenant).await;
    let client = Client::connect(&db.service(), &key).await;
    let text = format!("because of {}.", key.reveal());
    let files = json!([{"path": "SKILL.md", "text": "---\nname: own\ndescription: Own.\n---\n\nDo it.\n"}]);
    for (tool, arguments) in [
        ("search_skills", json!({"query": text})),
        (
            "record_usage",
            json!({"skill": "shared", "outcome": "helped", "comment": text, "idempotency_key": text}),
        ),
        (
            "rate_skill",
            json!({"skill": "shared", "stars": 3, "comment": text}),
        ),
        ("publish_skill", json!({"files": files, "note": text})),
        (
            "yank_skill",
            json!({"skill": "own", "version": "1", "reason": text}),
        ),
        (
            "review_skill",
            json!({"skill": "shared", "version": "1", "verdict": "approve", "decided_by": "person", "comment": text}),
        ),
    ] {
        let called = client.call(tool, arguments).await;
        assert!(called.is_ok(), "{tool}: {called:?}");
    }
    admin(
        &db,
        &[
            "skill",
            "deprecate",
            "shared",
            "--note",
            &text,
            "--tenant",
            "acme",
        ],
    );
    let secret = &key.reveal()[28..];
    assert_eq!(stored(&db, secret).await, Vec::<String>::new());
    for table in [
        "usage_events",
        "skill_feedback",
        "ratings",
        "skill_versions",
        "audit_logs",
    ] {
        let masked = stored(&db, "skeep_(hidden)").await;
        assert!(
            masked.iter().any(|row| row.starts_with(&format!("{table}: "))),
            "{table}: {masked:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_characters_are_neither_stored_in_names_nor_shown() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let client = Client::connect(&db.service(), &db.full_key(tenant).await).await;
    let skill_md = "---\nname: tide\nauthor: \"A\\e[2Jda\\u202E\"\nlicense: \"M\\u200BIT\"\n\
                    description: \"Tells the\\u2028tide.\\x9b\\u2066\"\n---\n\nDo it.\n";
    let files = json!([{"path": "SKILL.md", "text": skill_md}]);
    client
        .ok(
            "publish_skill",
            json!({"files": files, "note": "a\u{202e}b\u{1b}[2J"}),
        )
        .await;
    let names = "SELECT concat_ws('|', name, author, license, description) FROM skills";
    let shown: String = db.value(names).await;
    assert_eq!(shown, "tide|A [2Jda|MIT|Tells the tide. ");
    for arguments in [
        &["skill", "list", "--tenant", "acme"][..],
        &["skill", "history", "tide", "--tenant", "acme"],
        &["skill", "history", "tide", "--tenant", "acme", "--json"],
        &["audit", "tail", "--tenant", "acme"],
    ] {
        let ran = admin(&db, arguments);
        let text = ran.out.replace('\n', "");
        assert!(!text.contains(is_unsafe), "{arguments:?}: {text:?}");
    }
    let history = admin(&db, &["skill", "history", "tide", "--tenant", "acme"]).out;
    assert!(history.contains("a\\u{202e}b\\u{1b}[2J"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn error_repeats_at_most_200_characters_of_the_caller() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let client = Client::connect(&db.service(), &db.full_key(tenant).await).await;
    let long = "ä\u{202e}".repeat(50_000);
    let with_name = |name: &str, value: Value| json!({name: value});
    for (tool, arguments) in [
        ("get_skill", json!({"skill": "x", &long: 1})),
        ("get_skill", json!({"skill": "x", "part": long})),
        ("get_skill", with_name(&long, json!("x"))),
        ("search_skills", json!({"query": "x", "limit": long})),
        ("get_skill", json!({"skill": [long]})),
    ] {
        let error = match client.call(tool, arguments).await {
            Ok(result) => serde_json::to_string(&result).unwrap(),
            Err(error) => error.to_string(),
        };
        assert!(
            error.chars().count() < 2000,
            "{tool}: {} characters",
            error.chars().count()
        );
        assert!(!error.contains(is_unsafe), "{tool}: {error}");
        assert!(error.matches('ä').count() <= 200, "{tool}: {error}");
    }
}
