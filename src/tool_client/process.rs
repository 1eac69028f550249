//! A server program on this machine, and what it wrote to stderr.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::outcome::{CallFailure, Outcome};
use crate::error::CliErrorKind;

/// How long the program may take to end after its stdin was closed. The embedded database is stopped in this time.
const END_LIMIT: Duration = Duration::from_secs(60);
/// How much of the program's stderr is kept, in bytes.
const MAX_STDERR: usize = 16 << 10;

pub(super) struct ServerProcess {
    child: Child,
    stderr: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl ServerProcess {
    /// Starts the program. Its stderr is kept for [`Self::failure`] and otherwise discarded.
    pub(super) fn start(mut command: Command) -> Result<(Self, (ChildStdout, ChildStdin)), CallFailure> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_started(&error))?;
        let (Some(stdin), Some(stdout), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(not_started(&"it has no standard streams"));
        };
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let reader = tokio::spawn(keep_end(errors, Arc::clone(&stderr)));
        let process = Self {
            child,
            stderr,
            reader,
        };
        Ok((process, (stdout, stdin)))
    }

    /// Waits for the program's end. Its stdin was closed.
    pub(super) async fn close(mut self) {
        if timeout(END_LIMIT, self.child.wait()).await.is_err() {
            tracing::warn!("the server program did not end and is killed");
            let _killed = self.child.kill().await;
        }
    }

    /// Explains a connection that failed: with the program's own error if it ended, else with `otherwise`.
    pub(super) async fn failure(mut self, otherwise: CallFailure) -> CallFailure {
        let Ok(Ok(status)) = timeout(END_LIMIT, self.child.wait()).await else {
            return otherwise;
        };
        let _finished = timeout(Duration::from_secs(1), self.reader).await;
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&stderr);
        match text
            .rfind("error: ")
            .and_then(|at| text.get(at + "error: ".len()..))
        {
            Some(message) => CallFailure::new(outcome_of(status), message.trim_end()),
            None => otherwise,
        }
    }
}

fn not_started(error: &dyn std::fmt::Display) -> CallFailure {
    CallFailure::new(
        Outcome::Unreachable,
        format!("cannot start the server program: {error}"),
    )
}

/// The program's exit code, which follows the contract of the command line.
fn outcome_of(status: ExitStatus) -> Outcome {
    let is = |kind: CliErrorKind| status.code() == Some(i32::from(kind.exit_code()));
    if is(CliErrorKind::Refused) || is(CliErrorKind::Usage) {
        Outcome::InvalidKey
    } else {
        Outcome::Unreachable
    }
}

async fn keep_end(stderr: ChildStderr, kept: Arc<Mutex<Vec<u8>>>) {
    let mut reader = BufReader::new(stderr);
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = reader.read(&mut chunk).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(chunk.iter().take(count));
        let excess = kept.len().saturating_sub(MAX_STDERR);
        kept.drain(..excess);
    }
}
