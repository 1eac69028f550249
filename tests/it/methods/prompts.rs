//! Skills as prompts, and the prompt that teaches a model to search first.

use serde_json::{Value, json};
use skillkeep::ids::TenantId;

use super::client::{Speaker, WAYS, Way};
use super::store;
use crate::harness::{Client, TestDb};

const FIRST: &str = "---\nname: pdf\ndescription: Fills forms.\nmetadata:\n  version: \"1.0\"\n---\n\n# Old way\n\nUse <b>pen</b> & paper.\n";
const SECOND: &str = "---\nname: pdf\ndescription: Fills forms, quickly.\nmetadata:\n  version: \"2.0\"\n---\n\n# New way\n\n空.\n";

async fn with_two_versions() -> (TestDb, TenantId) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    for skill_md in [FIRST, SECOND] {
        store(&db, tenant, "pdf", &[("SKILL.md", skill_md.as_bytes())]).await;
    }
    (db, tenant)
}

/// The text of the one message that a prompt is made of.
async fn text(speaker: &mut Speaker, name: &str, arguments: Value) -> String {
    let params = json!({"name": name, "arguments": arguments});
    let prompt = speaker.ok("prompts/get", params).await;
    let messages = prompt["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{prompt}");
    assert_eq!(messages[0]["role"], "user");
    messages[0]["content"]["text"].as_str().unwrap().to_owned()
}

async fn is_refused(speaker: &mut Speaker, name: &str, arguments: Value, words: &str) {
    let params = json!({"name": name, "arguments": arguments});
    let error = speaker.error("prompts/get", params).await;
    assert_eq!(error["code"], -32_602, "{error}");
    assert!(error["message"].as_str().unwrap().contains(words), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skills_prompt_carries_its_instructions_word_for_word_and_the_task() {
    let (db, tenant) = with_two_versions().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
        let latest = text(&mut speaker, "pdf", json!({})).await;
        assert!(latest.contains(SECOND), "{way:?}: {latest}");
        assert!(
            !latest.contains("Old way") && !latest.contains("for this task"),
            "{latest}"
        );
        let task = "Fill in form 7 \u{1F4DD} for \"Ada\".\nToday.";
        let with_task = text(&mut speaker, "pdf", json!({"task": task})).await;
        assert!(
            with_task.contains(SECOND) && with_task.contains(task),
            "{with_task}"
        );
        let older = text(&mut speaker, "pdf", json!({"task": task, "version": "1.0"})).await;
        assert!(older.contains(FIRST) && older.contains(task), "{older}");
        assert!(!older.contains("New way"), "{older}");
        // What a form sends for a field that was left empty.
        let empty = text(&mut speaker, "pdf", json!({"task": "", "version": ""})).await;
        assert_eq!(empty, latest, "{way:?}");
        let without = speaker.ok("prompts/get", json!({"name": "pdf"})).await;
        assert_eq!(without["messages"][0]["content"]["text"], latest.as_str());
        assert_eq!(without["description"], "Fills forms, quickly.");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_tells_which_arguments_each_prompt_takes() {
    let (db, tenant) = with_two_versions().await;
    let client = Client::connect(&db.service(), &db.full_key(tenant).await).await;
    let prompts = client.service.list_all_prompts().await.unwrap();
    let told: Vec<(&str, Vec<(&str, bool)>)> = prompts
        .iter()
        .map(|prompt| {
            let arguments = prompt.arguments.as_deref().unwrap_or_default();
            let arguments = arguments
                .iter()
                .map(|argument| (argument.name.as_str(), argument.required.unwrap_or(false)))
                .collect();
            (prompt.name.as_str(), arguments)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("search_first", vec![("task", true), ("tag", false)]),
            ("pdf", vec![("task", false), ("version", false)]),
        ]
    );
    assert!(
        prompts
            .iter()
            .all(|prompt| prompt.description.as_ref().is_some_and(|text| !text.is_empty()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_prompt_needs_a_task_and_names_the_tools_in_the_order_of_their_use() {
    let (db, tenant) = with_two_versions().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
        let task = "Fill in form 7.";
        let taught = text(
            &mut speaker,
            "search_first",
            json!({"task": task, "tag": "office"}),
        )
        .await;
        assert!(taught.contains(task) && taught.contains("\"office\""), "{taught}");
        let places: Vec<usize> = [
            "search_skills",
            "get_skill",
            "install_skill",
            "confirm_install",
            "record_usage",
        ]
        .map(|tool| taught.find(tool).unwrap_or_else(|| panic!("{tool}: {taught}")))
        .into();
        assert!(places.is_sorted(), "{taught}");
        let without_tag = text(&mut speaker, "search_first", json!({"task": task})).await;
        assert!(!without_tag.contains("tag \""), "{without_tag}");
        for arguments in [
            json!({}),
            json!({"tag": "office"}),
            json!({"task": ""}),
            json!({"task": " \n\t"}),
        ] {
            is_refused(&mut speaker, "search_first", arguments, "\"task\"").await;
        }
        let error = speaker
            .error("prompts/get", json!({"name": "search_first"}))
            .await;
        assert_eq!(error["code"], -32_602, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_prompt_does_not_take_is_refused_and_named() {
    let (db, tenant) = with_two_versions().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let long = "x".repeat(20_001);
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
        for (name, arguments, words) in [
            ("pdf", json!({"colour": "red"}), "\"colour\""),
            ("pdf", json!({"tag": "office"}), "\"tag\""),
            ("pdf", json!({"Task": "x"}), "\"Task\""),
            (
                "search_first",
                json!({"task": "x", "version": "1.0"}),
                "\"version\"",
            ),
            ("pdf", json!({"task": 7}), "\"task\""),
            ("pdf", json!({"task": ["x"]}), "\"task\""),
            ("pdf", json!({"task": "a\u{0}b"}), "\"task\""),
            ("pdf", json!({"version": "1\u{0}"}), "\"version\""),
            ("pdf", json!({"task": long}), "20000"),
            ("pdf", json!({"version": "3.0"}), "\"3.0\""),
            ("pdf", json!({"version": "1"}), "\"1\""),
            ("nothing", json!({}), "\"nothing\""),
            ("PDF", json!({}), "\"PDF\""),
            ("search-first", json!({"task": "x"}), "\"search-first\""),
        ] {
            is_refused(&mut speaker, name, arguments, words).await;
        }
        let at_the_limit = json!({"task": "ü".repeat(20_000)});
        assert!(text(&mut speaker, "pdf", at_the_limit).await.len() > 40_000);
    }
    let mut speaker = Speaker::connect(&service, &key, Way::Memory).await;
    for name in ["", "a\u{0}b", "' OR 1=1 --", "../pdf", &long] {
        let error = speaker.error("prompts/get", json!({"name": name})).await;
        assert_eq!(error["code"], -32_602, "{error}");
    }
}
