//! The stored search index: written by who changes a skill, merged, read by every process.

use std::sync::Arc;

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::server::CallService;

use crate::command::{admin, ended};
use crate::harness::{Client, TestDb};

struct Indexed {
    db: TestDb,
    tenant: TenantId,
    service: Arc<CallService>,
    client: Client,
}

fn publication(name: &str, description: &str) -> Value {
    let text = format!("---\nname: {name}\ndescription: {description}\n---\n\nRead the chart of {name}.\n");
    json!({"files": [{"path": "SKILL.md", "text": text}]})
}

fn slugs(answer: &Value) -> Vec<String> {
    let hits = answer["hits"].as_array().unwrap();
    hits.iter()
        .map(|hit| hit["skill"].as_str().unwrap().to_owned())
        .collect()
}

impl Indexed {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        let service = db.service();
        let client = Client::connect(&service, &db.full_key(tenant).await).await;
        Self {
            db,
            tenant,
            service,
            client,
        }
    }

    async fn publish(&self, name: &str, description: &str) {
        self.client
            .ok("publish_skill", publication(name, description))
            .await;
    }

    /// A client of a process that has read nothing yet.
    async fn fresh(&self) -> Client {
        Client::connect(&self.db.service(), &self.db.full_key(self.tenant).await).await
    }

    async fn found_by(&self, client: &Client, query: &str) -> Vec<String> {
        slugs(&client.ok("search_skills", json!({"query": query})).await)
    }

    async fn found(&self, query: &str) -> Vec<String> {
        self.found_by(&self.fresh().await, query).await
    }

    async fn count(&self, sql: &str) -> i64 {
        self.db.value(sql).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn process_that_searches_reads_the_stored_index_and_not_the_skills() {
    let indexed = Indexed::new().await;
    indexed.publish("tide-tables", "Reads tide tables").await;
    indexed.publish("ship-names", "Lists the names of ships").await;
    // Not seen by a search, unless it reads the skills.
    indexed
        .db
        .superuser()
        .await
        .batch_execute("UPDATE skills SET name = 'unread', description = 'unread', tags = '{unread}'")
        .await
        .unwrap();
    assert_eq!(indexed.found("read the tides").await, ["tide-tables"]);
    assert_eq!(indexed.found("unread").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_found_by_the_next_search_of_every_process() {
    let indexed = Indexed::new().await;
    indexed.publish("tide-tables", "Reads tide tables").await;
    let other = indexed.fresh().await;
    assert_eq!(indexed.found_by(&other, "tides").await, ["tide-tables"]);
    indexed
        .publish("harbour-charts", "Reads harbour charts and tides")
        .await;
    let mut found = indexed.found_by(&other, "tides").await;
    found.sort();
    assert_eq!(found, ["harbour-charts", "tide-tables"]);
    indexed.publish("tide-tables", "Draws moon phases").await;
    let mut found = indexed.found_by(&other, "reads tables").await;
    found.sort();
    assert_eq!(found, ["harbour-charts", "tide-tables"]);
    assert_eq!(indexed.found_by(&other, "moon").await, ["tide-tables"]);
    let archive = ["skill", "archive", "harbour-charts", "--tenant", "acme"];
    assert_eq!(admin(&indexed.db, &archive).code, 0);
    assert_eq!(indexed.found_by(&other, "harbour").await, [""; 0]);
    assert_eq!(indexed.found("harbour").await, [""; 0]);
    let rename = [
        "skill",
        "rename",
        "tide-tables",
        "--to",
        "moon-tables",
        "--tenant",
        "acme",
    ];
    let renamed = admin(&indexed.db, &rename);
    assert_eq!(renamed.code, 0, "{renamed:?}");
    assert_eq!(indexed.found_by(&other, "moon").await, ["moon-tables"]);
    assert_eq!(indexed.found("moon").await, ["moon-tables"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_merged_and_readers_do_not_notice() {
    let indexed = Indexed::new().await;
    let other = indexed.fresh().await;
    for number in 0..70 {
        indexed
            .publish(&format!("tide-{number}"), "Reads tide tables")
            .await;
        let answer = other
            .ok(
                "search_skills",
                json!({"query": format!("tide {number}"), "limit": 1}),
            )
            .await;
        assert_eq!(slugs(&answer), [format!("tide-{number}")]);
    }
    indexed.service.drain().await;
    let segments = indexed.count("SELECT count(*) FROM search_segments").await;
    assert!(segments < 16, "{segments} segments");
    let documents = indexed
        .count("SELECT sum(document_count)::bigint FROM search_segments")
        .await;
    assert_eq!(documents, 70);
    let without_segment = "SELECT count(*) FROM search_blocks b WHERE NOT EXISTS (SELECT FROM search_segments s WHERE s.id = b.segment_id)";
    assert_eq!(indexed.count(without_segment).await, 0);
    for number in [0, 33, 69] {
        assert_eq!(
            indexed.found(&format!("tide-{number}")).await[0],
            format!("tide-{number}")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn index_that_is_missing_or_of_another_format_changes_no_result() {
    let indexed = Indexed::new().await;
    for number in 0..12 {
        indexed
            .publish(&format!("tide-{number}"), "Reads tide tables")
            .await;
    }
    let with_index = indexed.found("read tides").await;
    assert_eq!(with_index.len(), 10);
    let superuser = indexed.db.superuser().await;
    superuser
        .batch_execute("UPDATE search_segments SET format = format + 1")
        .await
        .unwrap();
    assert_eq!(indexed.found("read tides").await, with_index);
    superuser
        .batch_execute("DELETE FROM search_blocks; DELETE FROM search_segments")
        .await
        .unwrap();
    assert_eq!(indexed.found("read tides").await, with_index);
    // The next change indexes what is missing.
    indexed.publish("moon-phases", "Draws moon phases").await;
    indexed.service.drain().await;
    let documents = indexed
        .count("SELECT sum(document_count)::bigint FROM search_segments")
        .await;
    assert_eq!(documents, 13);
    assert_eq!(indexed.found("read tides").await, with_index);
}

#[tokio::test(flavor = "multi_thread")]
async fn index_of_another_tenant_is_not_read() {
    let indexed = Indexed::new().await;
    indexed.publish("tide-tables", "Reads tide tables").await;
    let other = indexed.db.tenant("other").await;
    let client = Client::connect(&indexed.db.service(), &indexed.db.full_key(other).await).await;
    assert_eq!(indexed.found_by(&client, "tide tables").await, [""; 0]);
    client
        .ok("publish_skill", publication("moon-phases", "Draws moon phases"))
        .await;
    assert_eq!(
        indexed.found_by(&client, "tide tables moon").await,
        ["moon-phases"]
    );
    assert_eq!(indexed.found("tide tables moon").await, ["tide-tables"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn purged_skill_leaves_no_word_in_the_index() {
    let indexed = Indexed::new().await;
    indexed.publish("tide-tables", "Reads tide tables").await;
    indexed.publish("secret-project", "Describes zanzibarquest").await;
    let holding =
        "SELECT count(*) FROM search_segments WHERE position('zanzibarquest'::bytea IN vocabulary) > 0
                   OR position('secret-project'::bytea IN documents) > 0";
    assert_eq!(indexed.count(holding).await, 1);
    let purge = [
        "skill",
        "purge",
        "secret-project",
        "--reason",
        "asked",
        "--confirm",
        "secret-project",
        "--tenant",
        "acme",
    ];
    let purged = admin(&indexed.db, &purge);
    assert_eq!(purged.code, 0, "{purged:?}");
    assert_eq!(indexed.count(holding).await, 0);
    assert_eq!(indexed.found("tide").await, ["tide-tables"]);
    assert_eq!(indexed.count("SELECT count(*) FROM search_segments").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_what_differs_and_rebuild_mends_it() {
    let indexed = Indexed::new().await;
    for number in 0..12 {
        indexed
            .publish(&format!("tide-{number}"), "Reads tide tables")
            .await;
    }
    indexed.service.drain().await;
    let check = ["search", "check", "--tenant", "acme"];
    let checked = admin(&indexed.db, &check);
    assert_eq!(checked.out, "The index agrees with the 12 skills.\n");
    let superuser = indexed.db.superuser().await;
    superuser
        .batch_execute(
            "UPDATE skills SET description = 'Draws moon phases' WHERE slug IN ('tide-3', 'tide-4')",
        )
        .await
        .unwrap();
    let checked = ended(&indexed.db, &check);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.err.contains("for 2 of 12 skills"), "{checked:?}");
    assert_eq!(indexed.found("moon").await, [""; 0]);
    let rebuilt = admin(&indexed.db, &["search", "rebuild", "--tenant", "acme"]);
    assert!(rebuilt.out.starts_with("12 skills in 1 segments"), "{rebuilt:?}");
    assert_eq!(admin(&indexed.db, &check).code, 0);
    let mut found = indexed.found("moon").await;
    found.sort();
    assert_eq!(found, ["tide-3", "tide-4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_in_a_large_catalog_indexes_all_other_skills() {
    let indexed = Indexed::new().await;
    let folder = tempfile::tempdir().unwrap();
    for number in 0..410 {
        let skill = folder.path().join(format!("tide-{number}"));
        std::fs::create_dir(&skill).unwrap();
        let text = format!("---\nname: tide-{number}\ndescription: Reads tide tables.\n---\n\nRead.\n");
        std::fs::write(skill.join("SKILL.md"), text).unwrap();
    }
    let folder = folder.path().display().to_string();
    admin(&indexed.db, &["import", &folder, "--tenant", "acme"]);
    let purge = [
        "skill",
        "purge",
        "tide-7",
        "--reason",
        "asked",
        "--confirm",
        "tide-7",
        "--tenant",
        "acme",
    ];
    admin(&indexed.db, &purge);
    let status = admin(&indexed.db, &["search", "status", "--tenant", "acme", "--json"]).json();
    assert_eq!(
        (&status["skills"], &status["pending"]),
        (&json!(409), &json!(0)),
        "{status}"
    );
}

/// Imports skills with so many different words that a merge reads and writes their blocks in several pieces.
fn import_many_words(indexed: &Indexed, skills: std::ops::Range<usize>) {
    let folder = tempfile::tempdir().unwrap();
    for number in skills {
        let skill = folder.path().join(format!("tide-{number}"));
        std::fs::create_dir(&skill).unwrap();
        let words: String = (0..700).map(|word| format!("w{number}x{word} ")).collect();
        let text = format!("---\nname: tide-{number}\ndescription: Reads tide tables.\n---\n\n{words}\n");
        std::fs::write(skill.join("SKILL.md"), text).unwrap();
    }
    let folder = folder.path().display().to_string();
    let import = ["import", &folder, "--source", "tides", "--tenant", "acme"];
    assert_eq!(ended(&indexed.db, &import).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_segments_are_merged_in_pieces() {
    let indexed = Indexed::new().await;
    let other = indexed.fresh().await;
    import_many_words(&indexed, 0..450);
    assert_eq!(indexed.found_by(&other, "w7x3").await, ["tide-7"]);
    let first: i64 = indexed.count("SELECT count(*) FROM search_segments").await;
    assert_eq!(first, 1);
    import_many_words(&indexed, 450..650);
    assert_eq!(indexed.count("SELECT count(*) FROM search_segments").await, 1);
    let bytes = indexed
        .count("SELECT sum(length(bytes))::bigint FROM search_blocks")
        .await;
    assert!(bytes > 4 << 20, "{bytes} bytes are written at once");
    let without_segment = "SELECT count(*) FROM search_blocks b WHERE NOT EXISTS (SELECT FROM search_segments s WHERE s.id = b.segment_id)";
    assert_eq!(indexed.count(without_segment).await, 0);
    for number in [0, 7, 449, 450, 649] {
        let found = indexed.found_by(&other, &format!("w{number}x699")).await;
        assert_eq!(found, [format!("tide-{number}")]);
    }
    let checked = admin(&indexed.db, &["search", "check", "--tenant", "acme"]);
    assert_eq!(checked.out, "The index agrees with the 650 skills.\n");
}

/// As a program of an older format leaves the index.
async fn write_in_older_format(indexed: &Indexed) {
    indexed.service.drain().await;
    let superuser = indexed.db.superuser().await;
    superuser
        .batch_execute("UPDATE search_segments SET format = 1")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn index_of_an_older_format_is_replaced_after_the_first_search() {
    let indexed = Indexed::new().await;
    indexed.publish("tide-tables", "Reads tide tables").await;
    write_in_older_format(&indexed).await;
    let service = indexed.db.service();
    let client = Client::connect(&service, &indexed.db.full_key(indexed.tenant).await).await;
    assert_eq!(indexed.found_by(&client, "tides").await, ["tide-tables"]);
    service.drain().await;
    let formats = "SELECT count(*) FROM search_segments WHERE format";
    assert_eq!(indexed.count(&format!("{formats} = 1")).await, 0);
    assert_eq!(indexed.count(&format!("{formats} > 1")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_builds_the_index_that_is_missing() {
    let indexed = Indexed::new().await;
    indexed.publish("tide-tables", "Reads tide tables").await;
    write_in_older_format(&indexed).await;
    indexed.db.tenant("empty").await;
    let migrated = admin(&indexed.db, &["migrate", "--json"]).json();
    assert_eq!(migrated["indexed_tenants"], json!(["acme"]));
    let again = admin(&indexed.db, &["migrate", "--json"]).json();
    assert_eq!(again["indexed_tenants"], json!([]));
    let current = "SELECT count(*) FROM search_segments WHERE format > 1";
    assert_eq!(indexed.count(current).await, 1);
}
