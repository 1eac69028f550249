//! What a model reads to go on: names of what was meant, newer versions, states, next steps.

use serde_json::{Value, json};
use skillkeep::ids::TenantId;

use crate::harness::{Client, TestDb};
use crate::methods::store;

async fn setup() -> (TestDb, TenantId, Client) {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    for text in ["Fills in PDF forms.", "Fills in PDF forms of any kind."] {
        db.skill(acme, "fill-pdf", text, &[]).await;
    }
    let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
    (db, acme, client)
}

fn on_disk(install: &Value) -> Value {
    let files = install["files"].as_array().unwrap().iter();
    files
        .map(|file| json!({"path": file["path"], "digest": file["digest"]}))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_slug_and_version_name_what_there_is() {
    let (_db, _, client) = setup().await;
    for slug in ["fil-pdf", "fill_pdf", "pdf", "Fill-PDF"] {
        let refused = client.error("get_skill", json!({"skill": slug})).await;
        assert!(refused.contains("Similar: fill-pdf."), "{refused}");
    }
    for tool in ["get_skill", "install_skill", "record_usage"] {
        let mut arguments = json!({"skill": "fill-pdf", "version": "7"});
        match tool {
            "install_skill" => arguments["assistant"] = json!("goose"),
            "record_usage" => arguments["outcome"] = json!("helped"),
            _ => {}
        }
        let refused = client.error(tool, arguments.clone()).await;
        assert!(refused.contains("Versions: 2, 1."), "{tool}: {refused}");
        arguments["version"] = json!("latest");
        assert_eq!(client.ok(tool, arguments).await["version"], "2", "{tool}");
    }
    let refused = client.error("get_skill", json!({"skill": "xylophone"})).await;
    assert!(!refused.contains("Similar"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmation_names_newer_version_and_next_step() {
    let (db, acme, client) = setup().await;
    let install = json!({"skill": "fill-pdf", "version": "1", "assistant": "opencode"});
    let old = client.ok("install_skill", install).await;
    assert_eq!(old["folder"], ".agents/skills/fill-pdf");
    let confirm = |files: Value| json!({"install_id": old["install_id"], "files": files});
    let confirmed = client.ok("confirm_install", confirm(on_disk(&old))).await;
    assert_eq!(
        (&confirmed["state"], &confirmed["newer_version"]),
        (&json!("confirmed"), &json!("2"))
    );
    let mut files = on_disk(&old);
    files[0]["path"] = json!(".agents/skills/fill-pdf/SKILL.md");
    let elsewhere = client.ok("confirm_install", confirm(files)).await;
    let next_step = elsewhere["next_step"].as_str().unwrap();
    assert!(
        next_step.contains("relative to .agents/skills/fill-pdf"),
        "{elsewhere}"
    );
    let mut files = on_disk(&old);
    files[0]["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
    let changed = client.ok("confirm_install", confirm(files)).await;
    assert_eq!(changed["changed"], json!(["SKILL.md"]));
    assert!(
        changed["next_step"]
            .as_str()
            .unwrap()
            .contains("call confirm_install again")
    );

    let long = format!(
        "---\nname: long\ndescription: {}\n---\n\nText.\n",
        "word ".repeat(220)
    );
    store(&db, acme, "long", &[("SKILL.md", long.as_bytes())]).await;
    let latest = client
        .ok(
            "install_skill",
            json!({"skill": "fill-pdf", "assistant": "goose"}),
        )
        .await;
    let confirm = json!({"install_id": latest["install_id"], "files": on_disk(&latest)});
    let confirmed = client.ok("confirm_install", confirm).await;
    assert_eq!(confirmed.get("newer_version"), None);
    assert!(confirmed["next_step"].as_str().unwrap().contains("record_usage"));
    for (assistant, is_noted) in [("codex", true), ("gemini-cli", false)] {
        let install = client
            .ok("install_skill", json!({"skill": "long", "assistant": assistant}))
            .await;
        let notes = install.get("notes").map(Value::to_string).unwrap_or_default();
        assert_eq!(
            notes.contains("shows its model the first 1,024 characters"),
            is_noted,
            "{notes}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exact_slug_is_first_and_copies_are_folded() {
    let (db, acme, client) = setup().await;
    db.skill(
        acme,
        "pdf-pdf-pdf",
        "fill pdf fill pdf fill pdf, fill in every pdf",
        &[],
    )
    .await;
    for slug in ["merge-csv", "merge-csv-copy"] {
        let skill_md = "---\nname: merge-csv\ndescription: Merges CSV files.\n---\n\nMerge them.\n";
        let files = json!([{"path": "SKILL.md", "text": skill_md}]);
        let arguments = json!({"skill": slug, "files": files});
        client.ok("publish_skill", arguments).await;
    }
    for query in ["fill-pdf", "Fill PDF"] {
        let found = client.ok("search_skills", json!({"query": query})).await;
        assert_eq!(found["hits"][0]["skill"], "fill-pdf", "{found}");
        assert_eq!(found["hits"].as_array().unwrap().len(), 2, "{found}");
    }
    let found = client
        .ok("search_skills", json!({"query": "merge csv files", "limit": 10}))
        .await;
    let hits = found["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 1, "{found}");
    assert_eq!(hits[0]["also_as"].as_array().unwrap().len(), 1, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_search_names_words_that_no_hit_holds() {
    let (_db, _, client) = setup().await;
    let found = client
        .ok("search_skills", json!({"query": "tune a harpsichord with forms"}))
        .await;
    assert_eq!(found["unmatched"], json!(["tune", "harpsichord"]));
    assert!(
        found["next_step"].as_str().unwrap().starts_with("Weak"),
        "{found}"
    );
    let found = client
        .ok("search_skills", json!({"query": "fill in PDF forms"}))
        .await;
    assert_eq!(found.get("unmatched"), None);
    assert!(
        !found["next_step"].as_str().unwrap().starts_with("Weak"),
        "{found}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn report_orders_skills_and_names_filters_of_empty_searches() {
    let (db, acme, client) = setup().await;
    db.skill(acme, "helpful", "Helps.", &[]).await;
    for _ in 0..3 {
        client.ok("get_skill", json!({"skill": "fill-pdf"})).await;
    }
    client
        .ok("record_usage", json!({"skill": "helpful", "outcome": "helped"}))
        .await;
    let search = json!({"query": "forms", "tag": "nothing", "category": "none"});
    client.ok("search_skills", search).await;
    for (order, first) in [("calls", "fill-pdf"), ("helped", "helpful")] {
        let report = client.ok("usage_report", json!({"order": order, "top": 1})).await;
        assert_eq!(report["by_skill"].as_array().unwrap().len(), 1);
        assert_eq!(report["by_skill"][0]["skill"], first, "{report}");
        let searches = json!([{"query": "forms", "filters": ["category", "tag"], "searches": 1}]);
        assert_eq!(report["empty_searches"], searches);
        let outcomes = report["by_outcome"].as_object().unwrap().values();
        assert_eq!(
            outcomes.map(|calls| calls.as_i64().unwrap()).sum::<i64>(),
            report["calls"]
        );
        assert_eq!(
            (&report["skill_calls"], &report["skills"]),
            (&json!(4), &json!(2))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_skills_are_listed_in_every_state() {
    let (_db, _, client) = setup().await;
    let skill_md = |name: &str| format!("---\nname: {name}\ndescription: Does {name}.\n---\n\nDo it.\n");
    for (name, draft) in [("mine-draft", true), ("mine-public", false)] {
        let files = json!([{"path": "SKILL.md", "text": skill_md(name)}]);
        client
            .ok("publish_skill", json!({"files": files, "draft": draft}))
            .await;
    }
    let mine = client.ok("search_skills", json!({"mine": true})).await;
    let rows: Vec<(&str, Option<&str>)> = mine["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| (hit["skill"].as_str().unwrap(), hit["state"].as_str()))
        .collect();
    assert_eq!(
        rows,
        [("mine-draft", Some("draft")), ("mine-public", Some("published"))]
    );
    let page = client
        .ok("search_skills", json!({"mine": true, "limit": 1}))
        .await;
    let next = json!({"mine": true, "limit": 1, "cursor": page["next_cursor"]});
    assert_eq!(
        client.ok("search_skills", next).await["hits"][0]["skill"],
        "mine-public"
    );
    let all = client.ok("search_skills", json!({})).await.to_string();
    assert!(!all.contains("mine-draft"), "{all}");
    let draft = client.ok("get_skill", json!({"skill": "mine-draft"})).await;
    assert_eq!(
        (&draft["state"], &draft["owner"]),
        (&json!("draft"), &json!("ada@example.com"))
    );
    assert!(
        draft["next_step"].as_str().unwrap().contains("update_skill"),
        "{draft}"
    );
    let refused = client
        .error("search_skills", json!({"mine": true, "query": "x"}))
        .await;
    assert!(refused.contains("takes no query"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn details_name_files_that_skill_md_lacks() {
    let (db, acme, client) = setup().await;
    let skill_md = "---\nname: gaps\ndescription: Has gaps.\n---\n\nRead `references/guide.md` and `references/here.md`.\n";
    let files: [(&str, &[u8]); 2] = [
        ("SKILL.md", skill_md.as_bytes()),
        ("references/here.md", b"Here.\n"),
    ];
    store(&db, acme, "gaps", &files).await;
    let shown = client.ok("get_skill", json!({"skill": "gaps"})).await;
    assert_eq!(shown["missing_files"], json!(["references/guide.md"]));
    assert_eq!(shown.to_string().matches("Has gaps.").count(), 1, "{shown}");
    assert_eq!(shown.to_string().matches("guide.md").count(), 1, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slug_as_query_is_never_a_weak_match() {
    let (_db, _, client) = setup().await;
    for limit in [1, 10] {
        let found = client
            .ok("search_skills", json!({"query": "fill-pdf", "limit": limit}))
            .await;
        assert!(!found["next_step"].to_string().contains("Weak"), "{found}");
        assert_eq!(found.get("unmatched"), None, "{found}");
    }
}
