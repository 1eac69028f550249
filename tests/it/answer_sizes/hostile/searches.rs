//! The longest answers of searches, and of reports about them.

use serde_json::json;

use super::super::texts::quotes;
use super::{LONG_SLUG, Registry, Who};

pub(super) async fn search(registry: &mut Registry) {
    for number in 0..60 {
        let description = format!("'Sorts {} number {number}.'", quotes(900));
        let slug = format!("sort-{number:02}-{}", &LONG_SLUG[8..]);
        registry.db.skill(registry.tenant, &slug, &description, &[]).await;
    }
    for arguments in [
        json!({"limit": 50}),
        json!({"limit": 50, "mine": true}),
        json!({"limit": 50, "query": format!("sorts number {}", "long\"word ".repeat(190))}),
        json!({"query": "\"\\ ".repeat(600)}),
    ] {
        registry.ok(Who::Author, "search_skills", arguments).await;
    }
}

pub(super) async fn recommend(registry: &mut Registry) {
    let slugs: Vec<String> = (0..100).map(|number| format!("{number:064}")).collect();
    let words = "Sorts many skills with long names, paths and descriptions. ".repeat(330);
    for text in [quotes(20_000), words] {
        let arguments = json!({"text": text, "installed": slugs, "limit": 20});
        registry.ok(Who::Reviewer, "recommend_skills", arguments).await;
    }
}

pub(super) async fn report(registry: &mut Registry) {
    for number in 0..100 {
        let query = format!("{number} {}", "\\x\" ".repeat(400));
        registry
            .author
            .ok(
                "search_skills",
                json!({"query": query, "tag": "none", "author": "none"}),
            )
            .await;
    }
    let answer = registry
        .ok(Who::Author, "usage_report", json!({"top": 100}))
        .await;
    assert!(answer["empty_searches"].as_array().unwrap().len() > 20);
}
