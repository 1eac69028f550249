//! Sends the attacks over one pair of connections and evaluates the responses.

use std::collections::BTreeSet;

use super::attack::Attack;
use super::attack::generator::attacks;
use super::client::ProbeClient;
use super::coverage::AttackCoverage;
use super::error::ProbeError;
use super::fixtures::Fixtures;
use super::oracle::{EchoedSecrets, Oracle};
use super::positive_control::request_own_data;
use super::report::ProbeReport;
use crate::db::{AdminDb, event_counts};

/// Which attacks are sent.
#[derive(Debug, Clone)]
pub enum AttackSelection {
    EveryNth(usize),
    /// All attacks on these methods.
    Methods(Vec<&'static str>),
}

impl AttackSelection {
    fn includes(&self, number: usize, attack: &Attack) -> bool {
        match self {
            Self::EveryNth(step) => number.is_multiple_of(*step),
            Self::Methods(methods) => methods.contains(&attack.method),
        }
    }
}

pub struct AttackRun<'a> {
    pub fixtures: &'a Fixtures,
    /// For counting the attacker's usage events.
    pub admin: &'a AdminDb,
    pub selection: AttackSelection,
    /// Keep it across runs with the same attacker.
    pub echoed: EchoedSecrets,
}

impl AttackRun<'_> {
    /// Sends every selected attack over both connections and compares the responses. Before and after, each tenant must be
    /// served its own data over the same connection, and every attack must have reached its target: otherwise the refusals
    /// prove nothing.
    ///
    /// # Errors
    /// When the server stops responding or the database fails.
    pub async fn execute(
        &mut self,
        attacker: &mut impl ProbeClient,
        control: &mut impl ProbeClient,
    ) -> Result<ProbeReport, ProbeError> {
        let fixtures = self.fixtures;
        let oracle = Oracle::new(fixtures);
        let mut report = ProbeReport::default();
        for (before, after) in &fixtures.baseline {
            if let Some(finding) = oracle.differs_from_baseline(&before.response, &after.response) {
                report.findings.push(format!("{}: {finding}", after.target));
            }
        }
        self.check_own_data("before", &oracle, attacker, control, &mut report)
            .await?;
        let before = event_counts(self.admin, fixtures.attacker.tenant).await?;
        let coverage = self.attack(&oracle, attacker, control, &mut report).await?;
        let after = event_counts(self.admin, fixtures.attacker.tenant).await?;
        coverage.check(&before, &after, &mut report);
        self.check_own_data("after", &oracle, attacker, control, &mut report)
            .await?;
        Ok(report)
    }

    async fn check_own_data(
        &self,
        when: &str,
        oracle: &Oracle<'_>,
        attacker: &mut impl ProbeClient,
        control: &mut impl ProbeClient,
        report: &mut ProbeReport,
    ) -> Result<(), ProbeError> {
        let mut requests = request_own_data(&self.fixtures.attacker, attacker).await?;
        requests.extend(request_own_data(&self.fixtures.control, control).await?);
        for own in requests {
            if !own.succeeded() {
                report.findings.push(format!(
                    "{}: a request for own data failed {when} the attacks, so they prove nothing: {}",
                    own.target, own.response
                ));
            }
            if oracle.leaks(&own.response, |secret| self.echoed.contains(secret)) {
                report.findings.push(format!(
                    "{}: the response about own data {when} the attacks contains data of the other tenant",
                    own.target
                ));
            }
        }
        Ok(())
    }

    async fn attack(
        &mut self,
        oracle: &Oracle<'_>,
        attacker: &mut impl ProbeClient,
        control: &mut impl ProbeClient,
        report: &mut ProbeReport,
    ) -> Result<AttackCoverage, ProbeError> {
        let (attacks, uncovered) = attacks(self.fixtures);
        report.findings.extend(
            uncovered
                .into_iter()
                .map(|target| format!("no attack exists for {target}")),
        );
        let supported_methods = attacker.protocol_profile().methods();
        let mut findings = BTreeSet::new();
        let mut coverage = AttackCoverage::default();
        for (_, attack) in attacks
            .iter()
            .enumerate()
            .filter(|(number, attack)| self.selection.includes(*number, attack))
        {
            if !supported_methods.contains(&attack.method) {
                report.unsupported_methods.insert(attack.method.to_owned());
                continue;
            }
            self.echoed.record(self.fixtures, attack);
            let attacker_response = attacker
                .request(attack.method, attack.attacker_params.clone())
                .await?;
            let control_response = control
                .request(attack.method, attack.control_params.clone())
                .await?;
            coverage.record(attack, &attacker_response);
            report.attacks += 1;
            let tally = report.targets.entry(attack.target.clone()).or_default();
            tally.attacks += 1;
            let found = oracle.check_response(attack, &self.echoed, &attacker_response, &control_response);
            tally.refused += usize::from(found.is_empty());
            findings.extend(
                found
                    .into_iter()
                    .map(|finding| format!("{}, {}: {finding}", attack.target, attack.description)),
            );
        }
        report.findings.extend(findings);
        Ok(coverage)
    }
}
