//! Completions: values that start with the typed text first, at most 100, with their total.

use serde_json::{Value, json};

use super::client::{TRANSPORTS, WireClient};
use super::store;
use crate::harness::TestDb;

fn template() -> Value {
    json!({"type": "ref/resource", "uri": "skill://{skill}/{version}/{name}/{+path}"})
}

fn prompt(name: &str) -> Value {
    json!({"type": "ref/prompt", "name": name})
}

async fn complete(
    client: &mut WireClient,
    reference: Value,
    argument: &str,
    typed: &str,
    context: Value,
) -> Value {
    let params = json!({
        "ref": reference,
        "argument": {"name": argument, "value": typed},
        "context": {"arguments": context},
    });
    client.ok("completion/complete", params).await["completion"].clone()
}

async fn values(
    client: &mut WireClient,
    reference: Value,
    argument: &str,
    typed: &str,
    context: Value,
) -> Vec<String> {
    let completion = complete(client, reference, argument, typed, context).await;
    let values: Vec<String> = serde_json::from_value(completion["values"].clone()).unwrap();
    assert_eq!(completion["total"], values.len(), "{completion}");
    assert_ne!(completion["hasMore"], true, "{completion}");
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn names_tags_versions_and_paths_are_completed() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    for (name, label, tags) in [
        ("fill-pdf", "1.0", "Forms, office"),
        ("fill-pdf", "1.1", "Forms, office"),
        ("pdf-merge", "7", "office"),
        ("docx", "1.0", "forms, Ärger"),
    ] {
        let skill_md = format!(
            "---\nname: {name}\ndescription: One.\nmetadata:\n  version: \"{label}\"\n  tags: {tags}\n---\n\n{label}\n"
        );
        let files: [(&str, &[u8]); 3] = [
            ("SKILL.md", skill_md.as_bytes()),
            ("docs/a b.md", b"a"),
            ("scripts/run.sh", b"b"),
        ];
        store(&db, tenant, name, &files).await;
    }
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        let client = &mut WireClient::connect(&service, &key, transport).await;
        let nothing = json!({});
        let of = |skill: &str| json!({"skill": skill});
        let t = template;
        assert_eq!(
            values(client, t(), "skill", "", nothing.clone()).await,
            ["docx", "fill-pdf", "pdf-merge"]
        );
        assert_eq!(
            values(client, t(), "skill", "PDF", nothing.clone()).await,
            ["pdf-merge", "fill-pdf"]
        );
        assert_eq!(values(client, t(), "skill", "x%", nothing.clone()).await, [""; 0]);
        let tags = values(client, prompt("search_first"), "tag", "", nothing.clone()).await;
        assert_eq!(tags, ["forms", "office", "ärger"], "{transport:?}");
        let tags = values(client, prompt("search_first"), "tag", "Ä", nothing.clone()).await;
        assert_eq!(tags, ["ärger"], "{transport:?}");
        for (reference, context) in [(prompt("fill-pdf"), nothing.clone()), (t(), of("fill-pdf"))] {
            let versions = values(client, reference.clone(), "version", "", context.clone()).await;
            assert_eq!(versions, ["1.1", "1.0"], "{transport:?}");
            assert_eq!(
                values(client, reference, "version", "1.0", context).await,
                ["1.0"]
            );
        }
        assert_eq!(
            values(client, t(), "name", "", of("fill-pdf")).await,
            ["fill-pdf"]
        );
        let paths = values(client, t(), "path", "", of("fill-pdf")).await;
        assert_eq!(paths, ["SKILL.md", "docs/a b.md", "scripts/run.sh"]);
        let context = json!({"skill": "fill-pdf", "version": "1.0", "name": "fill-pdf"});
        assert_eq!(
            values(client, t(), "path", "run", context).await,
            ["scripts/run.sh"]
        );
        let context = json!({"skill": "fill-pdf", "version": "9"});
        assert_eq!(values(client, t(), "path", "", context).await, [""; 0]);
        // Free text, and arguments that depend on a skill that the client has not sent.
        for (reference, argument) in [
            (prompt("fill-pdf"), "task"),
            (prompt("search_first"), "task"),
            (t(), "version"),
            (t(), "path"),
        ] {
            assert_eq!(
                values(client, reference, argument, "", nothing.clone()).await,
                [""; 0]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_100_values_are_returned_with_their_total() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    for number in 0..130 {
        let name = format!("skill-{number:03}");
        let description = format!("One.\nmetadata:\n  tags: tag-{number:03}");
        db.skill(tenant, &name, &description, &[]).await;
    }
    let paths: Vec<String> = (0..150).map(|number| format!("data/{number:03}.txt")).collect();
    let files: Vec<(&str, &[u8])> = paths
        .iter()
        .map(|path| (path.as_str(), path.as_bytes()))
        .collect();
    for number in 0..120 {
        db.skill(
            tenant,
            "wide",
            &format!("Version {number}."),
            if number == 119 { &files } else { &[] },
        )
        .await;
    }
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        let client = &mut WireClient::connect(&service, &key, transport).await;
        let wide = json!({"skill": "wide"});
        for (reference, argument, typed, context, total) in [
            (template(), "skill", "", json!({}), 131),
            (template(), "skill", "skill-0", json!({}), 100),
            (prompt("search_first"), "tag", "tag", json!({}), 130),
            (template(), "path", "", wide.clone(), 151),
            (template(), "path", "09", wide.clone(), 12),
            (prompt("wide"), "version", "", json!({}), 120),
            (template(), "version", "11", wide, 11),
        ] {
            let completion = complete(client, reference, argument, typed, context).await;
            let values = completion["values"].as_array().unwrap();
            assert_eq!(values.len(), total.min(100), "{transport:?} {argument}");
            assert_eq!(completion["total"], total, "{transport:?} {argument} {typed}");
            assert_eq!(
                completion["hasMore"] == true,
                total > 100,
                "{transport:?} {argument} {typed}"
            );
        }
        // Values that start with the typed text are among the first 100.
        let completion = complete(client, template(), "skill", "wi", json!({})).await;
        assert_eq!(completion["values"], json!(["wide"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_reference_or_argument_is_an_invalid_parameter() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "pdf", "Fills forms.", &[]).await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let argument = |name: &str| json!({"name": name, "value": ""});
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for params in [
            json!({"ref": template(), "argument": argument("colour")}),
            json!({"ref": template(), "argument": argument("Skill")}),
            json!({"ref": prompt("search_first"), "argument": argument("version")}),
            json!({"ref": prompt("pdf"), "argument": argument("tag")}),
            json!({"ref": {"type": "ref/resource", "uri": "file:///{path}"}, "argument": argument("path")}),
            json!({"ref": {"type": "ref/resource", "uri": "skill://pdf/1/pdf/SKILL.md"}, "argument": argument("skill")}),
            json!({"ref": {"type": "ref/tool", "name": "whoami"}, "argument": argument("x")}),
            json!({"ref": {"type": "ref/prompt"}, "argument": argument("version")}),
            json!({"ref": prompt("pdf")}),
            json!({"ref": prompt("pdf"), "argument": {"name": "version"}}),
            json!({"ref": prompt("pdf"), "argument": {"name": "version", "value": 7}}),
            json!({"argument": argument("version")}),
            json!({}),
        ] {
            let error = client.error("completion/complete", params.clone()).await;
            assert_eq!(error["code"], -32_602, "{transport:?} {params}: {error}");
        }
        for hostile in ["a\u{0}b", "%", "\\", "' OR 1=1 --", &"x".repeat(100_000)] {
            for (reference, name) in [(template(), "skill"), (prompt("pdf"), "version")] {
                let params = json!({"ref": reference, "argument": {"name": name, "value": hostile}});
                let completion = client.ok("completion/complete", params).await;
                assert_eq!(completion["completion"]["values"], json!([]), "{transport:?}");
            }
            for name in ["version", "name", "path"] {
                for context in [
                    json!({"skill": hostile}),
                    json!({"skill": "pdf", "version": hostile}),
                ] {
                    let context = json!({"arguments": context});
                    let params = json!({"ref": template(), "argument": {"name": name, "value": "zz"}, "context": context});
                    let completion = client.ok("completion/complete", params).await;
                    assert_eq!(completion["completion"]["values"], json!([]), "{transport:?}");
                }
            }
        }
    }
}
