//! What users searched for and did not get: in the usage report and in `skillkeep search report`.

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::tenancy::Scope;

use crate::command::admin;
use crate::harness::{Client, TestDb};

struct Registry {
    db: TestDb,
    acme: TenantId,
    ada: Client,
    bob: Client,
}

impl Registry {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let acme = db.tenant("acme").await;
        let service = db.service();
        let ada = Client::connect(&service, &db.full_key(acme).await).await;
        let (_, key) = db.key(acme, "bob@example.com", &Scope::ALL).await;
        let bob = Client::connect(&service, &key).await;
        db.skill(acme, "fill-pdf", "Fills in PDF forms.", &[]).await;
        Self { db, acme, ada, bob }
    }

    async fn report(&self) -> Value {
        self.ada.ok("usage_report", json!({})).await
    }

    /// Moves all events into the past.
    async fn let_pass(&self, minutes: i64) {
        let statement = format!(
            "UPDATE usage_events SET created_at = created_at - interval '{minutes} minutes',
                 id = (lpad(to_hex(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint - {minutes} * 60000), 12, '0')
                     || substr(replace(id::text, '-', ''), 13))::uuid"
        );
        self.db.superuser().await.batch_execute(&statement).await.unwrap();
    }

    async fn install(&self) {
        let arguments = json!({"skill": "fill-pdf", "assistant": "codex"});
        let installed = self.ada.ok("install_skill", arguments).await;
        let files = installed["files"].as_array().unwrap().iter();
        let files: Vec<Value> = files
            .map(|file| json!({"path": file["path"], "digest": file["digest"]}))
            .collect();
        let confirmation = json!({"install_id": installed["install_id"], "files": files});
        self.ada.ok("confirm_install", confirmation).await;
    }

    async fn publish(&self, name: &str, body: &str) {
        let text = format!("---\nname: {name}\ndescription: Does {name}.\n---\n\n{body}\n");
        let files = json!([{"path": "SKILL.md", "text": text}]);
        self.ada.ok("publish_skill", json!({"files": files})).await;
    }
}

async fn search(client: &Client, query: &str) {
    client.ok("search_skills", json!({"query": query})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_that_no_use_follows_within_30_minutes_are_listed() {
    let it = Registry::new().await;
    for query in ["Fill  in   PDF forms", "fill in pdf FORMS"] {
        search(&it.bob, query).await;
    }
    search(&it.ada, "fill in pdf forms").await;
    // Too late for the searches before it.
    it.let_pass(31).await;
    it.ada.ok("get_skill", json!({"skill": "fill-pdf"})).await;
    for (query, tool, arguments) in [
        ("fill forms", "get_skill", json!({"skill": "fill-pdf"})),
        (
            "pdf forms",
            "install_skill",
            json!({"skill": "fill-pdf", "assistant": "codex"}),
        ),
        (
            "fill pdf",
            "record_usage",
            json!({"skill": "fill-pdf", "outcome": "helped"}),
        ),
    ] {
        search(&it.ada, query).await;
        it.ada.ok(tool, arguments).await;
    }
    // These uses and failures are no use of what was found.
    search(&it.bob, "pdf forms of others").await;
    it.bob.error("get_skill", json!({"skill": "no-such-skill"})).await;
    it.bob.ok("search_skills", json!({})).await;
    // Nothing and weak hits are empty searches.
    search(&it.bob, "tune a harpsichord").await;
    search(&it.bob, "tune a harpsichord with forms").await;
    assert_eq!(
        it.report().await["not_followed"],
        json!([{"query": "fill in pdf forms", "searches": 3, "users": 2}])
    );
    it.let_pass(31).await;
    let report = it.report().await;
    assert_eq!(
        report["not_followed"],
        json!([
            {"query": "fill in pdf forms", "searches": 3, "users": 2},
            {"query": "pdf forms of others", "searches": 1, "users": 1},
        ])
    );
    assert_eq!(report["empty_searches"].as_array().unwrap().len(), 2, "{report}");
    let first = it.ada.ok("usage_report", json!({"top": 1})).await;
    assert_eq!(first["not_followed"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn installed_skills_without_a_report_in_the_period_are_listed() {
    let it = Registry::new().await;
    assert_eq!(it.report().await["unused"], json!([]));
    it.install().await;
    it.install().await;
    let unused = it.report().await["unused"].clone();
    assert_eq!(
        (&unused[0]["skill"], &unused[0]["installs"]),
        (&json!("fill-pdf"), &json!(2))
    );
    assert!(unused[0]["last"].as_str().unwrap().ends_with('Z'));
    it.bob
        .ok("record_usage", json!({"skill": "fill-pdf", "outcome": "stale"}))
        .await;
    assert_eq!(it.report().await["unused"], json!([]));
    let superuser = it.db.superuser().await;
    // Reports before the period do not count.
    superuser
        .batch_execute("UPDATE skill_feedback SET id = '01900000-0000-7000-8000-000000000000'")
        .await
        .unwrap();
    assert_eq!(it.report().await["unused"][0]["installs"], 2);
    superuser
        .batch_execute("UPDATE installs SET device_state = 'removed'")
        .await
        .unwrap();
    assert_eq!(it.report().await["unused"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_that_are_nearly_the_same_are_near_duplicates() {
    let it = Registry::new().await;
    let long: String = (0..300).map(|n| format!("word{n} ")).collect();
    let other: String = (300..600).map(|n| format!("word{n} ")).collect();
    it.publish("read-tides", &long).await;
    it.publish("tide-reader", &long.replace("word7 ", "changed "))
        .await;
    it.publish("read-moons", &other).await;
    // A template with little text is no copy.
    for name in ["one", "two"] {
        it.publish(&format!("template-{name}"), "Follow the steps of the team.")
            .await;
    }
    let stranger = it.db.tenant("other").await;
    let theirs = Client::connect(&it.db.service(), &it.db.full_key(stranger).await).await;
    let text = format!("---\nname: their-tides\ndescription: Tides.\n---\n\n{long}\n");
    theirs
        .ok(
            "publish_skill",
            json!({"files": [{"path": "SKILL.md", "text": text}]}),
        )
        .await;
    let groups = json!([["read-tides", "tide-reader"]]);
    assert_eq!(it.report().await["near_duplicates"], groups);
    let report = theirs.ok("usage_report", json!({})).await;
    assert_eq!(report["near_duplicates"], json!([]));
    let printed = admin(&it.db, &["search", "report", "--tenant", "acme", "--json"]).json();
    assert_eq!(printed["near_duplicates"], groups);
}

#[tokio::test(flavor = "multi_thread")]
async fn command_shows_every_list_of_one_tenant() {
    let it = Registry::new().await;
    let command = ["search", "report", "--tenant", "acme"];
    let printed = admin(&it.db, &command).out;
    assert_eq!(printed, "Nothing to report in the last 30 days.\n");
    search(&it.bob, "tune \u{1b}[31m a harpsichord").await;
    search(&it.bob, "fill in pdf forms").await;
    it.install().await;
    it.let_pass(40).await;
    let printed = admin(&it.db, &command).out;
    assert!(!printed.contains('\u{1b}'), "{printed}");
    for row in [
        "harpsichord",
        "fill in pdf forms",
        "fill-pdf",
        "No two skills have nearly the same text.",
    ] {
        assert!(printed.contains(row), "{row}: {printed}");
    }
    let json = admin(
        &it.db,
        &[&command[..], &["--json", "--top", "5", "--days", "1"]].concat(),
    )
    .json();
    assert_eq!(json["not_followed"][0]["query"], "fill in pdf forms");
    assert_eq!(json["unused"][0]["skill"], "fill-pdf");
    assert_eq!(json["empty_searches"].as_array().unwrap().len(), 1);
    let other = it.db.tenant("other").await;
    assert_ne!(other, it.acme);
    let printed = admin(&it.db, &["search", "report", "--tenant", "other"]).out;
    assert_eq!(printed, "Nothing to report in the last 30 days.\n");
}
