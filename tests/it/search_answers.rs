//! What `search_skills` answers: corrected words, copies, filters, counts and orders.

mod recommending;

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::tenancy::Scope;

use crate::harness::{Client, TestDb};

struct Found {
    db: TestDb,
    tenant: TenantId,
    client: Client,
}

fn slugs(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["skill"].as_str().unwrap()).collect()
}

/// The slugs of the hits, and of the copies that are folded into them.
fn all_slugs(answer: &Value) -> Vec<String> {
    let hits = answer["hits"].as_array().unwrap();
    let copies = hits.iter().filter_map(|hit| hit["also_as"].as_array());
    let copies = copies.flatten().filter_map(Value::as_str);
    slugs(answer)
        .into_iter()
        .chain(copies)
        .map(str::to_owned)
        .collect()
}

impl Found {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        let client = Client::connect(&db.service(), &db.full_key(tenant).await).await;
        Self { db, tenant, client }
    }

    async fn publish(&self, name: &str, front: &str, body: &str) {
        let text = format!("---\nname: {name}\n{front}\n---\n\n{body}\n");
        let files = json!({"files": [{"path": "SKILL.md", "text": text}]});
        self.client.ok("publish_skill", files).await;
    }

    async fn search(&self, arguments: Value) -> Value {
        self.client.ok("search_skills", arguments).await
    }

    async fn install(&self, skill: &str) {
        install(&self.client, skill).await;
    }

    /// A rating by another user than the author.
    async fn rate(&self, skill: &str, stars: u8) {
        let colleague = self.colleague("grace@example.com").await;
        colleague
            .ok("rate_skill", json!({"skill": skill, "stars": stars}))
            .await;
    }

    /// A client of another user.
    async fn colleague(&self, email: &str) -> Client {
        let (_, key) = self.db.key(self.tenant, email, &Scope::ALL).await;
        Client::connect(&self.db.service(), &key).await
    }
}

async fn install(client: &Client, skill: &str) {
    let install = json!({"skill": skill, "assistant": "codex"});
    let installed = client.ok("install_skill", install).await;
    let files: Vec<Value> = installed["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| json!({"path": file["path"], "digest": file["digest"]}))
        .collect();
    let confirm = json!({"install_id": installed["install_id"], "files": files});
    let confirmed = client.ok("confirm_install", confirm).await;
    assert_eq!(confirmed["state"], "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn misspelt_word_is_answered_with_the_word_that_was_found() {
    let found = Found::new().await;
    found
        .publish(
            "harpsichord",
            "description: Tunes a harpsichord.",
            "Turn the pins.",
        )
        .await;
    let answer = found.search(json!({"query": "tune my harpsicord"})).await;
    assert_eq!(slugs(&answer), ["harpsichord"]);
    assert_eq!(answer["corrected"], json!(["harpsicord: harpsichord"]));
    let answer = found.search(json!({"query": "tune my harpsichord"})).await;
    assert_eq!(answer["corrected"], Value::Null);
}

/// A body of many different words.
fn long_body(seed: u32) -> String {
    (0..400)
        .map(|number| format!("word{} ", seed * 1000 + number))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn near_copies_are_one_hit_and_short_bodies_are_no_copies() {
    let found = Found::new().await;
    let front = |text: &str| format!("description: Reads tide tables {text}.");
    found.publish("tides", &front("of a port"), &long_body(1)).await;
    let changed = long_body(1).replace("word1007 ", "another ");
    found.publish("tides-too", &front("of ports"), &changed).await;
    found
        .publish("tides-other", &front("of a river"), &long_body(2))
        .await;
    for name in ["tides-short", "tides-brief"] {
        found.publish(name, &front(name), "Ask first. Then do it.").await;
    }
    let answer = found.search(json!({"query": "read tide tables"})).await;
    let folded: Vec<(&str, &Value)> = answer["hits"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|hit| !hit["also_as"].is_null())
        .map(|hit| (hit["skill"].as_str().unwrap(), &hit["also_as"]))
        .collect();
    assert_eq!(slugs(&answer).len(), 4, "{answer}");
    let both = [("tides", json!(["tides-too"])), ("tides-too", json!(["tides"]))];
    assert!(
        both.iter().any(|(skill, also)| folded == [(*skill, also)]),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_select_by_installs_ratings_and_days() {
    let found = Found::new().await;
    for name in ["tide-one", "tide-two", "tide-three"] {
        found.publish(name, "description: Reads tide tables.", name).await;
    }
    found.install("tide-two").await;
    for (skill, stars) in [("tide-one", 2), ("tide-two", 4)] {
        found.rate(skill, stars).await;
    }
    let superuser = found.db.superuser().await;
    superuser
        .batch_execute("UPDATE skills SET updated_at = '2024-02-29T23:59:59Z' WHERE slug = 'tide-one'")
        .await
        .unwrap();
    superuser
        .batch_execute("DELETE FROM search_segments")
        .await
        .unwrap();
    let found_by = async |filters: Value| {
        let mut lists = Vec::new();
        for query in [json!("tide tables"), Value::Null] {
            let mut arguments = filters.clone();
            arguments["query"] = query;
            if arguments["query"].is_null() {
                arguments.as_object_mut().unwrap().remove("query");
            }
            let client = Client::connect(&found.db.service(), &found.db.full_key(found.tenant).await).await;
            let answer = client.ok("search_skills", arguments).await;
            let mut slugs: Vec<String> = slugs(&answer).into_iter().map(str::to_owned).collect();
            slugs.sort();
            lists.push(slugs);
        }
        assert_eq!(lists[0], lists[1], "{filters}");
        lists.remove(0)
    };
    assert_eq!(found_by(json!({"min_stars": 2})).await, ["tide-one", "tide-two"]);
    assert_eq!(found_by(json!({"min_stars": 3})).await, ["tide-two"]);
    assert_eq!(found_by(json!({"min_stars": 5})).await, [""; 0]);
    assert_eq!(
        found_by(json!({"updated_since": "2024-03-01"})).await,
        ["tide-three", "tide-two"]
    );
    assert_eq!(found_by(json!({"updated_since": "2024-02-29"})).await.len(), 3);
    let refused = found
        .client
        .error("search_skills", json!({"updated_since": "March 1"}))
        .await;
    assert!(refused.contains("write it as 2026-01-31"), "{refused}");

    // Each user has their own installs.
    let of = async |filters: Value| {
        let answer = found.search(filters).await;
        let mut slugs: Vec<String> = slugs(&answer).into_iter().map(str::to_owned).collect();
        slugs.sort();
        slugs
    };
    assert_eq!(of(json!({"installed": true})).await, ["tide-two"]);
    assert_eq!(
        of(json!({"query": "tide", "installed": false})).await,
        ["tide-one", "tide-three"]
    );
    let colleague = found.colleague("grace@example.com").await;
    let answer = colleague.ok("search_skills", json!({"installed": true})).await;
    assert_eq!(slugs(&answer), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_counts_cover_all_pages() {
    let found = Found::new().await;
    for number in 0..12 {
        let front = format!(
            "description: Reads tide tables.\nmetadata:\n  author: {}\n  category: {}\n  tags: tide, port{number}",
            if number < 4 { "Ada" } else { "Grace" },
            if number < 9 { "sea" } else { "river" },
        );
        found
            .publish(&format!("tide-{number:02}"), &front, &format!("Number {number}."))
            .await;
    }
    for (skill, stars) in [("tide-03", 5), ("tide-07", 3)] {
        found.rate(skill, stars).await;
    }
    found.install("tide-05").await;
    for query in [json!({"query": "tide tables"}), json!({})] {
        let first = async |sort: &str| {
            let mut arguments = query.clone();
            arguments["sort"] = json!(sort);
            arguments["limit"] = json!(2);
            let answer = found.search(arguments).await;
            slugs(&answer).join(" ")
        };
        assert_eq!(first("stars").await, "tide-03 tide-07");
        assert!(first("installs").await.starts_with("tide-05"));
        let mut seen = Vec::new();
        let mut arguments = query.clone();
        arguments["sort"] = json!("installs");
        arguments["limit"] = json!(5);
        loop {
            let answer = found.search(arguments.clone()).await;
            seen.extend(slugs(&answer).into_iter().map(str::to_owned));
            if answer["next_cursor"].is_null() {
                break;
            }
            arguments["cursor"] = answer["next_cursor"].clone();
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 12);
        let mut arguments = query.clone();
        arguments["facets"] = json!(true);
        arguments["limit"] = json!(1);
        let answer = found.search(arguments.clone()).await;
        assert_eq!(
            (&answer["categories"], &answer["authors"]),
            (&json!("sea 9, river 3"), &json!("grace 8, ada 4")),
            "{answer}"
        );
        assert!(answer["tags"].as_str().unwrap().starts_with("tide 12"));
        arguments["tag"] = json!("port3");
        let answer = found.search(arguments).await;
        assert_eq!(answer["categories"], json!("sea 1"));
    }
    let refused = found
        .client
        .error("search_skills", json!({"mine": true, "sort": "stars"}))
        .await;
    assert!(refused.contains("`mine` takes no query"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn skills_made_for_other_assistants_can_be_left_out() {
    let found = Found::new().await;
    for (name, compatibility) in [
        ("rudder-all", "Requires Python 3.10."),
        ("rudder-claude", "Claude Code only."),
        ("rudder-several", "Codex, Cursor"),
        ("rudder-example", "Claude Code or similar agents."),
    ] {
        let front = format!("description: Turns a rudder.\ncompatibility: {compatibility}");
        found.publish(name, &front, "Turn the rudder.").await;
    }
    for (assistant, left_out) in [
        ("claude-code", "rudder-several"),
        ("cursor", "rudder-claude"),
        ("folder", ""),
    ] {
        for query in [json!({}), json!({"query": "turn a rudder"})] {
            let mut arguments = query.clone();
            arguments["assistant"] = json!(assistant);
            let answer = found.search(arguments).await;
            let mut slugs = all_slugs(&answer);
            slugs.sort();
            let mut expected = vec!["rudder-all", "rudder-claude", "rudder-example", "rudder-several"];
            expected.retain(|slug| *slug != left_out);
            assert_eq!(slugs, expected, "{assistant}: {answer}");
        }
    }
    let answer = found
        .search(json!({"query": "turn a rudder", "facets": true}))
        .await;
    assert_eq!(answer["assistants"], json!("claude-code 1, codex 1, cursor 1"));
    let refused = found
        .client
        .error("search_skills", json!({"assistant": "telephone"}))
        .await;
    assert!(refused.contains("telephone"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn proved_skill_comes_before_an_equal_one_and_not_before_a_better_one() {
    let found = Found::new().await;
    for name in ["quay-alpha", "quay-beta", "quay-gamma"] {
        found
            .publish(name, "description: Draws quays.", "Draw the quay in ink.")
            .await;
    }
    found
        .publish(
            "quay-painter",
            "description: Paints quays in watercolour.",
            "Paint the quay.",
        )
        .await;
    let draw = json!({"query": "draw quays in ink"});
    let last_of = |answer: &Value| {
        let last = slugs(answer).into_iter().rfind(|slug| *slug != "quay-painter");
        last.unwrap().to_owned()
    };
    let reviewed = last_of(&found.search(draw.clone()).await);
    let approval = json!({"skill": reviewed, "verdict": "approve", "decided_by": "person",
                          "quality": 7, "clarity": 8, "completeness": 9});
    let colleague = found.colleague("grace@example.com").await;
    colleague.ok("review_skill", approval).await;
    let before = found.search(draw.clone()).await;
    assert_eq!(slugs(&before)[0], reviewed);

    let last = &last_of(&before);
    found.rate(last, 5).await;
    found
        .client
        .ok("record_usage", json!({"skill": last, "outcome": "helped"}))
        .await;
    found.install(last).await;
    let after = found.search(draw).await;
    assert_eq!(slugs(&after)[0], last);

    found.rate("quay-painter", 1).await;
    let painted = found
        .search(json!({"query": "paint a quay in watercolour"}))
        .await;
    assert_eq!(slugs(&painted)[0], "quay-painter");
}
