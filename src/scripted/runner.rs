//! Runs the steps of a file one after another.

use std::collections::BTreeMap;
use std::time::Instant;

use super::events;
use super::file::{TENANT_VARIABLE, TestFile, email_variable};
use super::fixture::{Fixture, TestUser};
use super::pointer;
use super::report::{RunReport, StepReport};
use super::step::{REPEAT_NUMBER, Step};
use super::variables::{self, Variables};
use crate::tenancy::ApiKey;
use crate::tool_client::{CallReply, Endpoint, ToolClient};

/// One run of a file over one transport.
pub struct Runner<'a, E> {
    file: &'a TestFile,
    users: &'a BTreeMap<String, TestUser>,
    /// How to reach the registry with a key.
    endpoint: E,
    /// For the usage events; `None` for an existing registry.
    fixture: Option<&'a mut Fixture>,
    /// The connected users. Each has one connection for the whole run.
    clients: BTreeMap<String, ToolClient>,
    values: Variables,
}

impl<'a, E: Fn(&ApiKey) -> Result<Endpoint, String>> Runner<'a, E> {
    /// `users` must contain every user of the file.
    pub fn new(
        file: &'a TestFile,
        users: &'a BTreeMap<String, TestUser>,
        endpoint: E,
        fixture: Option<&'a mut Fixture>,
    ) -> Self {
        let values = users.iter().filter_map(|(name, user)| {
            let account = user.account.as_ref()?;
            Some((email_variable(name), account.email.as_str().into()))
        });
        Self {
            file,
            users,
            endpoint,
            fixture,
            clients: BTreeMap::new(),
            values: values.collect(),
        }
    }

    /// Runs all steps, also after a failed one. A step that needs a value that a failed step did not save fails.
    pub async fn run(mut self, transport: &str) -> RunReport {
        let mut steps = Vec::new();
        for (number, (line, step)) in (1..).zip(&self.file.steps) {
            let mut report = self.run_step(step).await;
            report.number = number;
            report.line = *line;
            self.hide_keys(&mut report);
            steps.push(report);
        }
        for client in std::mem::take(&mut self.clients).into_values() {
            client.close().await;
        }
        RunReport {
            file: self.file.path.clone(),
            name: self.file.name.clone().unwrap_or_else(|| self.file.path.clone()),
            transport: transport.to_owned(),
            steps,
        }
    }

    async fn run_step(&mut self, step: &Step) -> StepReport {
        let started = Instant::now();
        let mut report = StepReport {
            number: 0,
            line: 0,
            name: step
                .name
                .clone()
                .unwrap_or_else(|| format!("{} calls {}", step.user, step.call)),
            user: step.user.clone(),
            tool: step.call.clone(),
            outcome: String::new(),
            duration: std::time::Duration::ZERO,
            failures: Vec::new(),
            notes: Vec::new(),
        };
        if let Err(name) = self.run_calls(step, &mut report).await {
            report.failures.push(format!(
                "${{{name}}} has no value, because the step that saves it did not find one"
            ));
        }
        report.duration = started.elapsed();
        report
    }

    /// # Errors
    /// The name of a variable without a value.
    async fn run_calls(&mut self, step: &Step, report: &mut StepReport) -> Result<(), String> {
        let Some(user) = self.users.get(&step.user).cloned() else {
            report.failures.push(format!("there is no user {}", step.user));
            return Ok(());
        };
        let mut values = self.values.clone();
        if let Some(account) = &user.account {
            values.insert(TENANT_VARIABLE.to_owned(), account.tenant_slug.as_str().into());
        }
        for call in 1..=step.repeat {
            values.insert(REPEAT_NUMBER.to_owned(), call.into());
            let reply = self.call(&user, step, &values).await?;
            report.outcome = reply.outcome.as_str().to_owned();
            let differences = step.expect.differences(&reply, &values)?;
            report.failures.extend(differences.into_iter().map(|difference| {
                if step.repeat == 1 {
                    difference
                } else {
                    format!("call {call}: {difference}")
                }
            }));
            self.save(step, &reply, &values, report)?;
            if !report.passed() {
                break;
            }
        }
        self.compare_events(&user, step, &values, report).await
    }

    async fn call(&mut self, user: &TestUser, step: &Step, values: &Variables) -> Result<CallReply, String> {
        let arguments = step.arguments(values)?;
        if let Some(client) = self.clients.get(&step.user) {
            return Ok(client.call(&step.call, arguments).await);
        }
        let endpoint = match (self.endpoint)(&user.key) {
            Ok(endpoint) => endpoint,
            Err(message) => return Ok(CallReply::unreachable(message)),
        };
        match ToolClient::connect(endpoint).await {
            Ok(client) => {
                let reply = client.call(&step.call, arguments).await;
                self.clients.insert(step.user.clone(), client);
                Ok(reply)
            }
            Err(failure) => Ok(CallReply::from_failure(failure)),
        }
    }

    fn save(
        &mut self,
        step: &Step,
        reply: &CallReply,
        values: &Variables,
        report: &mut StepReport,
    ) -> Result<(), String> {
        // A failed step is told once: not again by each value that it does not have.
        let had_passed = report.passed();
        for (name, place) in &step.save {
            let place = variables::replace(place, values)?;
            match reply.result.pointer(&place) {
                Some(value) => {
                    self.values.insert(name.clone(), value.clone());
                }
                None if had_passed => report.failures.push(format!(
                    "save {name} from {place}: expected a value, found {}",
                    pointer::explain_missing(&reply.result, &place)
                )),
                None => {}
            }
        }
        Ok(())
    }

    async fn compare_events(
        &mut self,
        user: &TestUser,
        step: &Step,
        values: &Variables,
        report: &mut StepReport,
    ) -> Result<(), String> {
        let expected = step.expected_events(values)?;
        let (Some(fixture), Some(account)) = (&mut self.fixture, &user.account) else {
            if expected.is_some() {
                report
                    .notes
                    .push("events were not checked: only a throw-away database shows them".to_owned());
            }
            return Ok(());
        };
        // Read after every step, so that the events of the next one can be told apart.
        match fixture.new_events(account, step.repeat).await {
            Ok(actual) => {
                // A call that ended otherwise than expected has another event than expected, too.
                if let Some(expected) = expected.filter(|_| report.passed()) {
                    report
                        .failures
                        .extend(events::differences(&expected, &actual, step.repeat));
                }
            }
            Err(error) => report
                .failures
                .push(format!("the usage events cannot be read: {error}")),
        }
        Ok(())
    }

    /// A registry does not return API keys; this keeps them out of reports even if one did.
    fn hide_keys(&self, report: &mut StepReport) {
        for text in report.failures.iter_mut().chain(&mut report.notes) {
            for user in self.users.values() {
                *text = text.replace(user.key.reveal(), "skeep_…");
            }
        }
    }
}
