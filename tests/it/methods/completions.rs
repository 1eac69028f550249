//! Completions: what begins with the typed text first, at most a hundred, and how many there are in all.

use serde_json::{Value, json};

use super::client::{Speaker, WAYS};
use super::store;
use crate::harness::TestDb;

fn template() -> Value {
    json!({"type": "ref/resource", "uri": "skill://{skill}/{version}/{name}/{+path}"})
}

fn prompt(name: &str) -> Value {
    json!({"type": "ref/prompt", "name": name})
}

async fn complete(
    speaker: &mut Speaker,
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
    speaker.ok("completion/complete", params).await["completion"].clone()
}

async fn values(
    speaker: &mut Speaker,
    reference: Value,
    argument: &str,
    typed: &str,
    context: Value,
) -> Vec<String> {
    let completion = complete(speaker, reference, argument, typed, context).await;
    let values: Vec<String> = serde_json::from_value(completion["values"].clone()).unwrap();
    assert_eq!(completion["total"], values.len(), "{completion}");
    assert_ne!(completion["hasMore"], true, "{completion}");
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn names_tags_versions_and_paths_are_offered() {
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
    for way in WAYS {
        let speaker = &mut Speaker::connect(&service, &key, way).await;
        let nothing = json!({});
        let of = |skill: &str| json!({"skill": skill});
        let t = template;
        assert_eq!(
            values(speaker, t(), "skill", "", nothing.clone()).await,
            ["docx", "fill-pdf", "pdf-merge"]
        );
        assert_eq!(
            values(speaker, t(), "skill", "PDF", nothing.clone()).await,
            ["pdf-merge", "fill-pdf"]
        );
        assert_eq!(
            values(speaker, t(), "skill", "x%", nothing.clone()).await,
            [""; 0]
        );
        let tags = values(speaker, prompt("search_first"), "tag", "", nothing.clone()).await;
        assert_eq!(tags, ["forms", "office", "ärger"], "{way:?}");
        let tags = values(speaker, prompt("search_first"), "tag", "Ä", nothing.clone()).await;
        assert_eq!(tags, ["ärger"], "{way:?}");
        for (reference, context) in [(prompt("fill-pdf"), nothing.clone()), (t(), of("fill-pdf"))] {
            let versions = values(speaker, reference.clone(), "version", "", context.clone()).await;
            assert_eq!(versions, ["1.1", "1.0"], "{way:?}");
            assert_eq!(
                values(speaker, reference, "version", "1.0", context).await,
                ["1.0"]
            );
        }
        assert_eq!(
            values(speaker, t(), "name", "", of("fill-pdf")).await,
            ["fill-pdf"]
        );
        let paths = values(speaker, t(), "path", "", of("fill-pdf")).await;
        assert_eq!(paths, ["SKILL.md", "docs/a b.md", "scripts/run.sh"]);
        let context = json!({"skill": "fill-pdf", "version": "1.0", "name": "fill-pdf"});
        assert_eq!(
            values(speaker, t(), "path", "run", context).await,
            ["scripts/run.sh"]
        );
        let context = json!({"skill": "fill-pdf", "version": "9"});
        assert_eq!(values(speaker, t(), "path", "", context).await, [""; 0]);
        // Free text, and what depends on a skill that is not chosen yet.
        for (reference, argument) in [
            (prompt("fill-pdf"), "task"),
            (prompt("search_first"), "task"),
            (t(), "version"),
            (t(), "path"),
        ] {
            assert_eq!(
                values(speaker, reference, argument, "", nothing.clone()).await,
                [""; 0]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_a_hundred_are_given_with_how_many_there_are() {
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
    for way in WAYS {
        let speaker = &mut Speaker::connect(&service, &key, way).await;
        let of_wide = json!({"skill": "wide"});
        for (reference, argument, typed, context, total) in [
            (template(), "skill", "", json!({}), 131),
            (template(), "skill", "skill-0", json!({}), 100),
            (prompt("search_first"), "tag", "tag", json!({}), 130),
            (template(), "path", "", of_wide.clone(), 151),
            (template(), "path", "09", of_wide.clone(), 12),
            (prompt("wide"), "version", "", json!({}), 120),
            (template(), "version", "11", of_wide, 11),
        ] {
            let offered = complete(speaker, reference, argument, typed, context).await;
            let values = offered["values"].as_array().unwrap();
            assert_eq!(values.len(), total.min(100), "{way:?} {argument}");
            assert_eq!(offered["total"], total, "{way:?} {argument} {typed}");
            assert_eq!(
                offered["hasMore"] == true,
                total > 100,
                "{way:?} {argument} {typed}"
            );
        }
        // A page of a hundred still holds those that begin with the typed text.
        let offered = complete(speaker, template(), "skill", "wi", json!({})).await;
        assert_eq!(offered["values"], json!(["wide"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_nothing_to_complete_is_an_invalid_parameter() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "pdf", "Fills forms.", &[]).await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let argument = |name: &str| json!({"name": name, "value": ""});
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
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
            let error = speaker.error("completion/complete", params.clone()).await;
            assert_eq!(error["code"], -32_602, "{way:?} {params}: {error}");
        }
        for hostile in ["a\u{0}b", "%", "\\", "' OR 1=1 --", &"x".repeat(100_000)] {
            for (reference, name) in [(template(), "skill"), (prompt("pdf"), "version")] {
                let params = json!({"ref": reference, "argument": {"name": name, "value": hostile}});
                let offered = speaker.ok("completion/complete", params).await;
                assert_eq!(offered["completion"]["values"], json!([]), "{way:?}");
            }
            for name in ["version", "name", "path"] {
                for context in [
                    json!({"skill": hostile}),
                    json!({"skill": "pdf", "version": hostile}),
                ] {
                    let context = json!({"arguments": context});
                    let params = json!({"ref": template(), "argument": {"name": name, "value": "zz"}, "context": context});
                    let offered = speaker.ok("completion/complete", params).await;
                    assert_eq!(offered["completion"]["values"], json!([]), "{way:?}");
                }
            }
        }
    }
}
