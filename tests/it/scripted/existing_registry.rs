//! `skillkeep test --url`: the calls go to an existing registry with keys from the environment.

use skillkeep::tenancy::Scope;

use super::Workspace;
use crate::command::{CommandOutput, program};
use crate::harness::TestDb;
use crate::http_server;

const FILE: &str = "
users:
  ada: {}
  rob-2: {}
steps:
- {as: ada, call: get_skill, with: {skill: fill-pdf}, save: {slug: /skill}, events: [{tool: get_skill}]}
- {as: rob-2, call: get_skill, with: {skill: '${slug}'}, expect: {outcome: missing_scope}}
- {as: rob-2, call: whoami, expect: {equals: {/user: rob@example.com}}}
";

#[tokio::test(flavor = "multi_thread")]
async fn existing_registry_is_called_with_keys_from_the_environment() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "fill-pdf", "Fills in PDF forms.", &[]).await;
    let (_, ada) = db.key(tenant, "ada@example.com", &[Scope::SkillsRead]).await;
    let (_, rob) = db.key(tenant, "rob@example.com", &[Scope::UsageWrite]).await;
    let url = format!("http://{}", http_server::serve(&db.service()).await);
    let space = Workspace::new();
    let file = space.write("remote.yaml", FILE);
    let run = |keys: &[(&str, &str)], transport: &str| {
        let mut command = program(&["test", &file, "--url", &url, "--transport", transport]);
        let output = CommandOutput::of(command.envs(keys.iter().copied()));
        for key in [&ada, &rob] {
            assert!(!output.out.contains(&key.reveal()[30..]), "{output:?}");
            assert!(!output.err.contains(&key.reveal()[30..]), "{output:?}");
        }
        output
    };
    let key_of_ada = ("SKILLKEEP_API_KEY_ADA", ada.reveal());
    let output = run(&[key_of_ada, ("SKILLKEEP_API_KEY_ROB_2", rob.reveal())], "all");
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.out.ends_with("9 steps passed, 0 failed.\n"),
        "{}",
        output.out
    );
    assert_eq!(
        output.out.matches("events were not checked").count(),
        3,
        "{}",
        output.out
    );
    assert_eq!(db.events(tenant).await.len(), 9);

    let swapped = run(&[key_of_ada, ("SKILLKEEP_API_KEY_ROB_2", ada.reveal())], "http");
    assert_eq!(swapped.code, 1, "{swapped:?}");
    let missing = run(&[key_of_ada], "http");
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(
        missing.err.contains("SKILLKEEP_API_KEY_ROB_2 is not set"),
        "{missing:?}"
    );
    let mistyped = run(&[key_of_ada, ("SKILLKEEP_API_KEY_ROB_2", "skeep_x")], "http");
    assert_eq!(mistyped.code, 2, "{mistyped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_key_and_silent_registry_are_outcomes() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let other = TestDb::new().await;
    let address = http_server::serve(&other.service()).await;
    let space = Workspace::new();
    for (url, outcome) in [
        (format!("http://{address}"), "invalid_key"),
        ("http://127.0.0.1:9".to_owned(), "unreachable"),
    ] {
        let text = format!(
            "users: {{ada: {{}}}}\nsteps: [{{as: ada, call: whoami, expect: {{outcome: {outcome}}}}}]"
        );
        let file = space.write("rejected.yaml", &text);
        let mut command = program(&["test", &file, "--url", &url, "--transport", "all"]);
        let output = CommandOutput::of(command.env("SKILLKEEP_API_KEY_ADA", key.reveal()));
        assert_eq!(output.code, 0, "{url}: {output:?}");
    }
}
