//! The real program as a child process, and what it said.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};

use crate::harness::{Cluster, TestDb};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_skillkeep");

/// The program with these arguments, in an environment that holds no setting of the person who runs the tests.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    for name in [
        "DATABASE_URL",
        "SKILLKEEP_API_KEY",
        "SKILLKEEP_DATA_DIR",
        "SKILLKEEP_LOG",
    ] {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The program at work on a test's database, as this role.
pub(crate) fn program_as(role: &str, db: &TestDb, arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command.env("DATABASE_URL", Cluster::get().url(role, &db.name));
    command
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl CommandOutput {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("no signal ended it"),
            out: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            err: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// Runs to the end.
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// Waits for the end of a child that was started before.
    pub(crate) fn end(child: Child) -> Self {
        Self::from(child.wait_with_output().unwrap())
    }

    /// The lines of stdout as JSON; a line that is none fails the test.
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// The one line of JSON on stdout.
    pub(crate) fn json(&self) -> serde_json::Value {
        let mut lines = self.json_lines();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines.remove(0)
    }
}

/// Runs an administrative command that must go well, as the owner of the schema.
pub(crate) fn admin(db: &TestDb, arguments: &[&str]) -> CommandOutput {
    let ran = ended(db, arguments);
    assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    ran
}

/// Runs an administrative command as the owner of the schema, however it ends.
pub(crate) fn ended(db: &TestDb, arguments: &[&str]) -> CommandOutput {
    CommandOutput::of(&mut program_as("skillkeep_owner", db, arguments))
}

/// Writes to a child's stdin.
pub(crate) fn say(child: &mut Child, bytes: &[u8]) {
    let stdin = child.stdin.as_mut().unwrap();
    stdin.write_all(bytes).unwrap();
    stdin.flush().unwrap();
}
