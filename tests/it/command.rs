//! Runs the skillkeep program as a child process.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};

use crate::harness::{Cluster, TestDb};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_skillkeep");

/// The program with these arguments, without the settings in the environment of the test run.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    for name in [
        "DATABASE_URL",
        "SKILLKEEP_API_KEY",
        "SKILLKEEP_DATA_DIR",
        "SKILLKEEP_EMBEDDINGS_DIMENSIONS",
        "SKILLKEEP_EMBEDDINGS_FOLDER",
        "SKILLKEEP_EMBEDDINGS_KEY",
        "SKILLKEEP_EMBEDDINGS_KEY_FILE",
        "SKILLKEEP_EMBEDDINGS_MODEL",
        "SKILLKEEP_EMBEDDINGS_URL",
        "SKILLKEEP_LOG",
        "SKILLKEEP_SIGNING_KEY",
        "SKILLKEEP_SIGNING_KEYS",
    ] {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The program on a test's database, in this role.
pub(crate) fn program_as(role: &str, db: &TestDb, arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command.env("DATABASE_URL", Cluster::get().url(role, &db.name));
    command
}

/// The exit code and output of the program.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl CommandOutput {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the program exits by itself"),
            out: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            err: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// Runs the command and waits for its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// Waits for the end of a running child process.
    pub(crate) fn end(child: Child) -> Self {
        Self::from(child.wait_with_output().unwrap())
    }

    /// The lines of stdout as JSON. A line that is no JSON fails the test.
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// The single line of stdout as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        let mut lines = self.json_lines();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines.remove(0)
    }
}

/// Runs an administrative command as the owner of the schema, and asserts that it succeeds.
pub(crate) fn admin(db: &TestDb, arguments: &[&str]) -> CommandOutput {
    let output = ended(db, arguments);
    assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    output
}

/// Runs an administrative command as the owner of the schema; it may fail.
pub(crate) fn ended(db: &TestDb, arguments: &[&str]) -> CommandOutput {
    CommandOutput::of(&mut program_as("skillkeep_owner", db, arguments))
}

/// Writes to a child's stdin.
pub(crate) fn say(child: &mut Child, bytes: &[u8]) {
    let stdin = child.stdin.as_mut().unwrap();
    stdin.write_all(bytes).unwrap();
    stdin.flush().unwrap();
}
