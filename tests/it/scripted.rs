//! `skillkeep test`: files of scripted calls through the real program, on its throw-away database.

mod existing_registry;
mod invalid_files;
mod stories;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::command::{CommandOutput, program};

/// A folder for test files and for the throw-away database.
pub(crate) struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(crate::harness::data_root()).unwrap();
        // If root starts PostgreSQL, it runs as another account, which must be able to traverse this folder.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&[&["test"], arguments].concat());
        // Nothing listens there: the configured database must not be used.
        command
            .env("DATABASE_URL", "postgres://nobody@127.0.0.1:9/attic")
            .env("TMPDIR", self.path("tmp"));
        command
    }

    /// Runs `skillkeep test` with these arguments.
    fn run(&self, arguments: &[&str]) -> CommandOutput {
        let output = CommandOutput::of(&mut self.command(arguments));
        assert!(
            !output.out.contains("skeep_") && !output.err.contains("skeep_"),
            "{output:?}"
        );
        output
    }

    fn assert_nothing_is_left(&self) {
        let left: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

const USERS: &str = "
tenants:
  acme: {samples: true}
users:
  ada: {scopes: [skills:read, skills:install, usage:write]}
  rob: {scopes: [skills:read]}
steps:
";

const MET: &str = r#"
- as: ada
  call: search_skills
  with: {query: release notes, limit: 2}
  expect:
    outcome: ok
    equals: {/hits/0/skill: write-release-notes}
    matches: {/hits/0/skill: "^write-"}
    contains: {/hits: {skill: write-release-notes}, /hits/0/description: release}
    count: {/hits: {min: 1, max: 2}, /hits/0: {min: 1}}
    exists: [/hits/0/why]
    absent: [/attic, /hits/2]
  events: [{tool: search_skills}]
  save: {slug: /hits/0/skill, first: /hits/0}
- as: rob
  call: get_skill
  with: {skill: "${slug}"}
  expect: {equals: {/skill: "${slug}", /name: "${slug}"}}
  events: [{tool: get_skill, skill: "${slug}"}]
  repeat: 2
- as: rob
  call: record_usage
  with: {skill: "${slug}", outcome: helped}
  expect: {outcome: missing_scope, error: {code: missing_scope, text: usage:write}}
  events: [{tool: record_usage, outcome: missing_scope}]
- as: ada
  call: get_skill
  with: {skill: "no-${slug}"}
  expect: {error: {code: not_found, matches: "^There is no skill \"no-${slug}\""}}
  events: [{tool: get_skill, outcome: tool_error, error_code: not_found}]
- as: ada
  call: get_skill
  with: {slug: x}
  expect: {outcome: invalid_arguments}
- as: ada
  call: attic
  expect: {outcome: unknown_tool, error: {text: Unknown tool}}
  events: [{tool: attic, outcome: unknown_tool}]
- as: rob
  call: whoami
  expect: {equals: {/user: "${rob.email}", /tenant: "${tenant}"}}
"#;

#[test]
fn met_expectations_pass_over_every_transport() {
    let space = Workspace::new();
    let file = space.write("met.yaml", &format!("{USERS}{MET}"));
    let output = space.run(&[&file, "--transport", "all", "--json"]);
    assert_eq!(output.code, 0, "{output:?}");
    let runs = output.json();
    let transports: Vec<&Value> = runs
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["transport"])
        .collect();
    assert_eq!(transports, ["stdio", "http", "sse"]);
    for run in runs.as_array().unwrap() {
        let outcomes: Vec<&Value> = run["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| &step["outcome"])
            .collect();
        assert_eq!(
            outcomes,
            [
                "ok",
                "ok",
                "missing_scope",
                "tool_error",
                "invalid_arguments",
                "unknown_tool",
                "ok"
            ],
            "{run}"
        );
    }
    space.assert_nothing_is_left();
}

/// Steps that fail, each with a part of the failure.
const UNMET: [(&str, &str); 14] = [
    (
        "{as: ada, call: whoami, expect: {equals: {/tenant: globex}}}",
        "/tenant: expected \"globex\", found \"acme",
    ),
    (
        "{as: ada, call: whoami, expect: {equals: {/attic/0: 1}}}",
        "/attic/0: expected 1, found nothing; the result is an object with the keys",
    ),
    (
        "{as: ada, call: whoami, expect: {matches: {/user: '^rob'}}}",
        "/user: expected a text that matches ^rob, found \"ada@example.com\"",
    ),
    (
        "{as: ada, call: whoami, expect: {contains: {/tools: [whoami, attic]}}}",
        "/tools: expected a value with \"attic\", found [",
    ),
    (
        "{as: ada, call: whoami, expect: {count: {/scopes: 4}}}",
        "/scopes: expected 4 items, found 3 items",
    ),
    (
        "{as: ada, call: whoami, expect: {exists: [/attic]}}",
        "/attic: expected a value, found nothing",
    ),
    (
        "{as: ada, call: whoami, expect: {absent: [/user]}}",
        "/user: expected nothing, found \"ada@example.com\"",
    ),
    (
        "{as: ada, call: whoami, expect: {outcome: tool_error}}",
        "outcome: expected tool_error, found ok",
    ),
    (
        "{as: ada, call: whoami, expect: {error: {code: not_found}}}",
        "outcome: expected an error, found ok",
    ),
    (
        "{as: ada, call: get_skill, with: {skill: attic}, expect: {error: {code: yanked}}}",
        "error code: expected yanked, found not_found: There is no skill",
    ),
    (
        "{as: ada, call: get_skill, with: {skill: attic}, expect: {error: {text: withdrawn}}}",
        "error text: expected a text with \"withdrawn\", found \"There is no skill",
    ),
    (
        "{as: ada, call: whoami, events: [{tool: whoami, outcome: tool_error}]}",
        "events: expected 1 of whoami tool_error, found 0",
    ),
    (
        "{as: ada, call: whoami, save: {id: /attic}}",
        "save id from /attic: expected a value",
    ),
    (
        "{as: ada, call: get_skill, with: {skill: '${id}'}}",
        "${id} has no value, because the step that saves it did not find one",
    ),
];

#[test]
fn each_unmet_expectation_fails_its_step() {
    let space = Workspace::new();
    let steps: String = UNMET.iter().map(|(step, _)| format!("- {step}\n")).collect();
    let failing = space.write("unmet.yaml", &format!("{USERS}{steps}"));
    let passing = space.write(
        "passing.yaml",
        "users: {ada: {}}\nsteps: [{as: ada, call: whoami}]",
    );
    let junit = space.path("junit.xml");
    let arguments = [
        &failing,
        &passing,
        "--format",
        "tap",
        "--junit",
        junit.to_str().unwrap(),
    ];
    let output = space.run(&arguments);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.err.contains("14 of 15 steps failed"), "{}", output.err);
    let points: Vec<&str> = output
        .out
        .lines()
        .filter(|line| line.starts_with("ok ") || line.starts_with("not ok "))
        .collect();
    assert_eq!(points.len(), 15, "{}", output.out);
    assert!(
        output.out.starts_with("TAP version 14\n1..15\n"),
        "{}",
        output.out
    );
    assert!(points[14].starts_with("ok 15 - "), "{points:?}");
    for ((step, message), (number, point)) in UNMET.iter().zip((1..).zip(&points)) {
        assert!(
            point.starts_with(&format!("not ok {number} - ")),
            "{step}: {point}"
        );
        let quoted = message.replace('"', "\\\"");
        assert!(output.out.contains(&quoted), "{message} is not in {}", output.out);
    }
    let line = USERS.lines().count();
    assert!(
        output.out.contains(&format!("unmet.yaml:{}\"", line + 1)),
        "{}",
        output.out
    );
    let xml = fs::read_to_string(junit).unwrap();
    assert!(
        xml.contains("tests=\"15\" skipped=\"0\" failures=\"14\""),
        "{xml}"
    );
    space.assert_nothing_is_left();
}

#[test]
fn table_shows_each_step_and_the_place_of_a_failure() {
    let space = Workspace::new();
    let file = "name: Who am I\nusers: {ada: {}}\nsteps:\n- {as: ada, call: whoami, name: Ada asks}\n\
                - {as: ada, call: whoami, expect: {exists: [/attic]}}\n";
    let file = space.write("who.yaml", file);
    let output = space.run(&[&file]);
    assert_eq!(output.code, 1, "{output:?}");
    let lines: Vec<&str> = output.out.lines().collect();
    assert_eq!(lines[0], "Who am I over stdio");
    assert!(
        lines[1].contains("STEP") && lines[1].contains("RESULT"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].contains("Ada asks") && lines[2].contains("passed"),
        "{}",
        lines[2]
    );
    assert!(
        lines[3].contains("ada calls whoami") && lines[3].contains("FAILED"),
        "{}",
        lines[3]
    );
    assert!(
        lines[4].contains("who.yaml:5: step 2, ada calls whoami: /attic: expected a value"),
        "{}",
        lines[4]
    );
    assert_eq!(lines.last(), Some(&"1 steps passed, 1 failed."));
}

#[test]
fn interrupted_run_removes_its_database() {
    let space = Workspace::new();
    let slow = "users: {ada: {}}\nsteps:\n- {as: ada, call: search_skills, repeat: 1000}\n\
                - {as: ada, call: search_skills, repeat: 1000}\n- {as: ada, call: search_skills, repeat: 1000}\n";
    let slow = space.write("slow.yaml", slow);
    let child = space.command(&[&slow]).spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    // Its folder has a socket once PostgreSQL runs.
    let started = (0..1_200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let folders = fs::read_dir(space.path("tmp")).unwrap();
        folders
            .flatten()
            .any(|folder| folder.path().join("data/supervisor.lock").exists())
    });
    assert!(started, "the database was not created");
    std::thread::sleep(std::time::Duration::from_secs(1));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let output = CommandOutput::end(child);
    assert_eq!(output.code, 70, "{output:?}");
    assert!(output.err.contains("interrupted"), "{}", output.err);
    space.assert_nothing_is_left();
}
