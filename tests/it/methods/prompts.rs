//! Skills as prompts, and the prompt `search_first`.

use serde_json::{Value, json};
use skillkeep::ids::TenantId;

use super::client::{TRANSPORTS, Transport, WireClient};
use super::store;
use crate::harness::{Client, TestDb};

const FIRST: &str = "---\nname: pdf\ndescription: Fills forms.\nmetadata:\n  version: \"1.0\"\n---\n\n# Old transport\n\nUse <b>pen</b> & paper.\n";
const SECOND: &str = "---\nname: pdf\ndescription: Fills forms, quickly.\nmetadata:\n  version: \"2.0\"\n---\n\n# New transport\n\n空.\n";

async fn with_two_versions() -> (TestDb, TenantId) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    for skill_md in [FIRST, SECOND] {
        store(&db, tenant, "pdf", &[("SKILL.md", skill_md.as_bytes())]).await;
    }
    (db, tenant)
}

/// The text of the only message of a prompt.
async fn text(client: &mut WireClient, name: &str, arguments: Value) -> String {
    let params = json!({"name": name, "arguments": arguments});
    let prompt = client.ok("prompts/get", params).await;
    let messages = prompt["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{prompt}");
    assert_eq!(messages[0]["role"], "user");
    messages[0]["content"]["text"].as_str().unwrap().to_owned()
}

async fn assert_rejected(client: &mut WireClient, name: &str, arguments: Value, expected: &str) {
    let params = json!({"name": name, "arguments": arguments});
    let error = client.error("prompts/get", params).await;
    assert_eq!(error["code"], -32_602, "{error}");
    assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn skill_prompt_contains_its_instructions_and_the_task() {
    let (db, tenant) = with_two_versions().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        let latest = text(&mut client, "pdf", json!({})).await;
        assert!(latest.contains(SECOND), "{transport:?}: {latest}");
        assert!(
            !latest.contains("Old transport") && !latest.contains("for this task"),
            "{latest}"
        );
        let task = "Fill in form 7 \u{1F4DD} for \"Ada\".\nToday.";
        let with_task = text(&mut client, "pdf", json!({"task": task})).await;
        assert!(
            with_task.contains(SECOND) && with_task.contains(task),
            "{with_task}"
        );
        let older = text(&mut client, "pdf", json!({"task": task, "version": "1.0"})).await;
        assert!(older.contains(FIRST) && older.contains(task), "{older}");
        assert!(!older.contains("New transport"), "{older}");
        // Clients with forms send empty fields as empty strings.
        let empty = text(&mut client, "pdf", json!({"task": "", "version": ""})).await;
        assert_eq!(empty, latest, "{transport:?}");
        let without = client.ok("prompts/get", json!({"name": "pdf"})).await;
        assert_eq!(without["messages"][0]["content"]["text"], latest.as_str());
        assert_eq!(without["description"], "Fills forms, quickly.");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_list_names_the_arguments_of_each_prompt() {
    let (db, tenant) = with_two_versions().await;
    let client = Client::connect(&db.service(), &db.full_key(tenant).await).await;
    let prompts = client.service.list_all_prompts().await.unwrap();
    let arguments: Vec<(&str, Vec<(&str, bool)>)> = prompts
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
        arguments,
        [
            ("search_first", vec![("task", true), ("tag", false)]),
            ("review_skill", vec![("skill", true), ("version", false)]),
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
async fn search_prompt_requires_task_and_names_tools_in_order() {
    let (db, tenant) = with_two_versions().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        let task = "Fill in form 7.";
        let prompt = text(
            &mut client,
            "search_first",
            json!({"task": task, "tag": "office"}),
        )
        .await;
        assert!(prompt.contains(task) && prompt.contains("\"office\""), "{prompt}");
        let positions: Vec<usize> = [
            "search_skills",
            "get_skill",
            "install_skill",
            "confirm_install",
            "record_usage",
        ]
        .map(|tool| prompt.find(tool).unwrap_or_else(|| panic!("{tool}: {prompt}")))
        .into();
        assert!(positions.is_sorted(), "{prompt}");
        let without_tag = text(&mut client, "search_first", json!({"task": task})).await;
        assert!(!without_tag.contains("tag \""), "{without_tag}");
        for arguments in [
            json!({}),
            json!({"tag": "office"}),
            json!({"task": ""}),
            json!({"task": " \n\t"}),
        ] {
            assert_rejected(&mut client, "search_first", arguments, "\"task\"").await;
        }
        let error = client.error("prompts/get", json!({"name": "search_first"})).await;
        assert_eq!(error["code"], -32_602, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_prompt_argument_is_rejected_and_named() {
    let (db, tenant) = with_two_versions().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let long = "x".repeat(20_001);
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for (name, arguments, expected) in [
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
            assert_rejected(&mut client, name, arguments, expected).await;
        }
        let at_the_limit = json!({"task": "ü".repeat(20_000)});
        assert!(text(&mut client, "pdf", at_the_limit).await.len() > 40_000);
    }
    let mut client = WireClient::connect(&service, &key, Transport::InMemory).await;
    for name in ["", "a\u{0}b", "' OR 1=1 --", "../pdf", &long] {
        let error = client.error("prompts/get", json!({"name": name})).await;
        assert_eq!(error["code"], -32_602, "{error}");
    }
}
