//! What the caller should be told with the next answer: installed versions that were withdrawn.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::blocking::blocking;
use super::check::{CheckedSkill, check, scan};
use super::machine::Machine;
use super::registry_client::RegistryClient;
use crate::answer_size::cut;

/// How often the registry is asked about installed versions.
const INTERVAL: Duration = Duration::from_secs(3600);
/// Skills that a notice names.
const MAX_NAMED: usize = 10;
/// Characters of a reason in it.
const MAX_REASON_CHARS: usize = 200;

/// The notices of one process.
#[derive(Debug, Default)]
pub(super) struct Notices {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_check: Option<Instant>,
    notice: Option<String>,
    /// What was said before, so that it is said once.
    said: Option<String>,
}

impl Notices {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state half changed: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The notice for the next answer, once.
    pub(super) fn take(&self) -> Option<String> {
        self.state().notice.take()
    }

    /// Whether a check is due. The caller then makes it.
    pub(super) fn is_due(&self) -> bool {
        let mut state = self.state();
        let is_due = state.last_check.is_none_or(|last| last.elapsed() >= INTERVAL);
        if is_due {
            state.last_check = Some(Instant::now());
        }
        is_due
    }

    /// Asks the registry about everything that is installed from it. A failure is logged: the caller did not ask.
    pub(super) async fn check(&self, client: &impl RegistryClient, machine: Machine) {
        let scanned = machine.clone();
        let checked = async {
            let found = blocking(move || scan(&scanned)).await?;
            check(client, &machine, &found).await
        };
        match checked.await {
            Ok(checked) => {
                let notice = notice(&checked);
                let mut state = self.state();
                if notice != state.said {
                    state.said.clone_from(&notice);
                    state.notice = notice;
                }
            }
            Err(error) => tracing::warn!(%error, "installed skills were not compared with the registry"),
        }
    }
}

fn notice(checked: &[CheckedSkill]) -> Option<String> {
    let withdrawn = |skill: &&CheckedSkill| matches!(skill.state.as_str(), "yanked" | "quarantined");
    let named: Vec<String> = checked
        .iter()
        .filter(withdrawn)
        .take(MAX_NAMED)
        .map(|skill| {
            let CheckedSkill {
                skill: name,
                version,
                state,
                folder,
                ..
            } = skill;
            let reason = skill.reason.as_ref().map_or_else(String::new, |reason| {
                format!(": {}", cut(reason, MAX_REASON_CHARS))
            });
            let update = skill
                .update_to
                .as_ref()
                .map_or_else(String::new, |to| format!(", install {to} instead"));
            format!("{name} {version} in {folder} ({state}{reason}{update})")
        })
        .collect();
    (!named.is_empty()).then(|| {
        format!(
            "Notice: installed skills were withdrawn; do not use them, and tell the user: {}.",
            named.join("; ")
        )
    })
}
