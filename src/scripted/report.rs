//! What a run of a test file found.

use std::time::Duration;

use serde::Serialize;

/// One run of a file over one transport.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    pub file: String,
    /// The file's `name`, or its path.
    pub name: String,
    pub transport: String,
    pub steps: Vec<StepReport>,
}

#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// From 1.
    pub number: usize,
    /// The line of the file on which the step begins.
    pub line: u64,
    pub name: String,
    pub user: String,
    pub tool: String,
    /// How the last call of the step ended; empty if there was none.
    pub outcome: String,
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub duration: Duration,
    /// Differences between what was expected and what came. Without any, the step has passed.
    pub failures: Vec<String>,
    /// What was not checked, and why.
    pub notes: Vec<String>,
}

fn milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(duration.as_millis())
}

impl StepReport {
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl RunReport {
    /// The number of steps that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.steps.iter().filter(|step| !step.passed()).count()
    }

    /// The text that identifies a step in a report.
    #[must_use]
    pub fn title(&self, step: &StepReport) -> String {
        format!(
            "{} over {}, step {}: {}",
            self.name, self.transport, step.number, step.name
        )
    }

    /// The place of a step: file and line.
    #[must_use]
    pub fn place(&self, step: &StepReport) -> String {
        format!("{}:{}", self.file, step.line)
    }
}

/// Two runs with a failed, a passed and an annotated step, for the tests of the formats.
#[cfg(test)]
pub(super) fn examples() -> Vec<RunReport> {
    let step = |number: usize, name: &str, failures: &[&str]| StepReport {
        number,
        line: 10 * number as u64,
        name: name.to_owned(),
        user: "ada".to_owned(),
        tool: "whoami".to_owned(),
        outcome: "ok".to_owned(),
        duration: Duration::from_millis(12),
        failures: failures.iter().map(|text| (*text).to_owned()).collect(),
        notes: Vec::new(),
    };
    let mut noted = step(1, "asks", &[]);
    noted.notes.push("events were not checked".to_owned());
    let report = |file: &str, name: &str, steps| RunReport {
        file: file.to_owned(),
        name: name.to_owned(),
        transport: "stdio".to_owned(),
        steps,
    };
    vec![
        report(
            "a.yaml",
            "Who <am> I #1",
            vec![
                step(1, "asks", &[]),
                step(
                    2,
                    "asks\nagain",
                    &[
                        "/a: expected \"<1>\", found \"\u{1b}]\"",
                        "/b: expected 1, found 2",
                    ],
                ),
            ],
        ),
        report("b.yaml", "b.yaml", vec![noted]),
    ]
}
