//! Proves through the server itself that one tenant cannot reach another: three throw-away tenants, one of whom asks every
//! tool and every method for what is the other's, while his control asks for what does not exist.
//!
//! What is asked is made from the tools' own schemas and from the server's list of methods, so a new tool is attacked without
//! anybody remembering. An answer must be word for word what the control gets, name nothing of the victim's, and leave the same
//! traces; and not one row of the victim's may change.

mod attack;
mod client;
mod coverage;
mod fixtures;
mod injection_payloads;
mod methods;
mod oracle;
mod positive_control;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::db::{AdminDb, DatabaseUrl, DbError, RollbackSession, event_counts, table_sums};
use crate::server::{CallService, ProtocolProfile, ServiceLimits};
use coverage::AttackCoverage;
use oracle::{differs_from_baseline, leaks};
use positive_control::request_own;

pub use attack::{Attack, attacks};
pub use client::{ClientError, InMemoryClient, LISTEN, ProbeClient, answers, request};
pub use fixtures::{Fixtures, Identifier, TestTenant};
pub use oracle::{EchoedSecrets, check_response};
pub use positive_control::OwnRequest;

/// What the attacks showed.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct ProbeReport {
    /// Questions asked, those of the control not counted.
    pub attacks: usize,
    /// What became of them, by tool and method.
    pub targets: BTreeMap<String, Tally>,
    /// Methods that are not there for who speaks as this connection does. Not asked, and not counted.
    pub not_of_its_era: BTreeSet<String>,
    /// What is wrong, a sentence each.
    pub findings: Vec<String>,
}

/// What became of the attacks on one tool or method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Questions asked.
    pub attacks: usize,
    /// Those of them that it was the tool or the method itself that answered, as the record of them tells where there is one.
    pub reached: usize,
    /// Those of them that brought nothing of another's to light.
    pub refused: usize,
}

impl ProbeReport {
    /// Takes in what the attacks over another connection showed.
    fn absorb(&mut self, other: Self) {
        self.attacks += other.attacks;
        for (target, tally) in other.targets {
            self.not_of_its_era.remove(&target);
            let sum = self.targets.entry(target).or_default();
            sum.attacks += tally.attacks;
            sum.reached += tally.reached;
            sum.refused += tally.refused;
        }
        self.findings.extend(other.findings);
    }
}

/// Why the proof could not be brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The server did not answer as the protocol wants.
    #[error("the proof could not be brought to its end: {0}")]
    Broken(String),
}

impl From<ClientError> for ProbeError {
    fn from(error: ClientError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Plants the three tenants, attacks, and takes all of it back: nothing is ever committed.
///
/// # Errors
/// When the database fails or the server stops answering.
pub async fn dry_run(admin: &DatabaseUrl) -> Result<ProbeReport, ProbeError> {
    let rehearsal = RollbackSession::new(admin)?;
    let proof = dry_run_in(&rehearsal).await;
    let ended = rehearsal.end().await;
    let proof = proof?;
    ended?;
    Ok(proof)
}

async fn dry_run_in(rehearsal: &RollbackSession) -> Result<ProbeReport, ProbeError> {
    let service = Arc::new(CallService::new(rehearsal.server(), ServiceLimits::default()));
    let world = Fixtures::create(&rehearsal.admin(), &service).await?;
    let mut attacker = InMemoryClient::connect(&service, world.attacker.key.clone()).await?;
    let mut control = InMemoryClient::connect(&service, world.control.key.clone()).await?;
    let before = table_sums(&rehearsal.admin(), world.victim.tenant).await?;
    let mut run = Run {
        world: &world,
        admin: &rehearsal.admin(),
        extent: Extent::EveryNth(1),
        said: EchoedSecrets::default(),
    };
    let mut proof = run.over(&mut attacker, &mut control).await?;
    // What is only there for those who speak the newest revision.
    run.extent = Extent::Methods(ProtocolProfile::Current.methods_without(ProtocolProfile::LegacyStateful));
    let mut attacker = InMemoryClient::connect_newest(&service, world.attacker.key.clone());
    let mut control = InMemoryClient::connect_newest(&service, world.control.key.clone());
    proof.absorb(run.over(&mut attacker, &mut control).await?);
    let after = table_sums(&rehearsal.admin(), world.victim.tenant).await?;
    proof.findings.extend(
        before
            .iter()
            .filter(|(table, sum)| after.get(*table) != Some(sum))
            .map(|(table, _)| format!("the attacks changed the other tenant's rows in {table}")),
    );
    let counts = |sums: BTreeMap<String, (i64, String)>| -> BTreeMap<String, i64> {
        sums.into_iter().map(|(table, (rows, _))| (table, rows)).collect()
    };
    let attackers = counts(table_sums(&rehearsal.admin(), world.attacker.tenant).await?);
    let twins = counts(table_sums(&rehearsal.admin(), world.control.tenant).await?);
    proof.findings.extend(
        attackers
            .iter()
            .filter(|(table, rows)| twins.get(*table) != Some(rows))
            .map(|(table, _)| {
                format!("asking for what is another's leaves other traces in {table} than asking for nothing")
            }),
    );
    Ok(proof)
}

/// How much is asked.
#[derive(Debug, Clone)]
pub enum Extent {
    /// Every so many-th question.
    EveryNth(usize),
    /// Every question to these methods.
    Methods(Vec<&'static str>),
}

impl Extent {
    fn holds(&self, number: usize, attack: &Attack) -> bool {
        match self {
            Self::EveryNth(step) => number.is_multiple_of(*step),
            Self::Methods(methods) => methods.contains(&attack.method),
        }
    }
}

/// Attacks over one pair of connections.
pub struct Run<'a> {
    /// The tenants.
    pub world: &'a Fixtures,
    /// Where the records of what was asked are counted.
    pub admin: &'a AdminDb,
    /// How much is asked.
    pub extent: Extent,
    /// What was asked before, which reports may repeat.
    pub said: EchoedSecrets,
}

impl Run<'_> {
    /// Asks both, and judges the answers. Before and after, each must be served what is his own over the same connection, and
    /// what the attacker asked in between must be in his record: else that he was refused shows nothing.
    ///
    /// # Errors
    /// When the server stops answering.
    pub async fn over(
        &mut self,
        attacker: &mut impl ProbeClient,
        control: &mut impl ProbeClient,
    ) -> Result<ProbeReport, ProbeError> {
        let mut proof = ProbeReport::default();
        for (before, after) in &self.world.own {
            if let Some(finding) = differs_from_baseline(self.world, &before.answer, &after.answer) {
                proof.findings.push(format!("{}: {finding}", after.target));
            }
        }
        self.control("before", attacker, control, &mut proof).await?;
        let before = event_counts(self.admin, self.world.attacker.tenant).await?;
        let asked = self.attack(attacker, control, &mut proof).await?;
        let after = event_counts(self.admin, self.world.attacker.tenant).await?;
        asked.compare(&before, &after, &mut proof);
        self.control("after", attacker, control, &mut proof).await?;
        Ok(proof)
    }

    async fn control(
        &self,
        when: &str,
        attacker: &mut impl ProbeClient,
        control: &mut impl ProbeClient,
        proof: &mut ProbeReport,
    ) -> Result<(), ProbeError> {
        let attackers = request_own(&self.world.attacker, attacker).await?;
        let twins = request_own(&self.world.control, control).await?;
        for own in attackers.iter().chain(&twins) {
            if !own.worked() {
                proof.findings.push(format!(
                    "{}: it does not even do what is its caller's own to ask {when} the attacks, so they prove nothing: {}",
                    own.target, own.answer
                ));
            }
            if leaks(self.world, &own.answer, |secret| self.said.holds(secret)) {
                proof.findings.push(format!(
                    "{}: the answer about one's own, {when} the attacks, holds something of the other tenant's",
                    own.target
                ));
            }
        }
        Ok(())
    }

    async fn attack(
        &mut self,
        attacker: &mut impl ProbeClient,
        control: &mut impl ProbeClient,
        proof: &mut ProbeReport,
    ) -> Result<AttackCoverage, ProbeError> {
        let (attacks, uncovered) = attacks(self.world);
        proof.findings.extend(
            uncovered
                .into_iter()
                .map(|target| format!("no attack is written for {target}")),
        );
        let of_its_era = attacker.protocol_profile().methods();
        let mut found = BTreeSet::new();
        let mut asked = AttackCoverage::default();
        for (_, attack) in attacks
            .iter()
            .enumerate()
            .filter(|(number, attack)| self.extent.holds(*number, attack))
        {
            if !of_its_era.contains(&attack.method) {
                proof.not_of_its_era.insert(attack.method.to_owned());
                continue;
            }
            self.said.note(self.world, attack);
            let theirs = attacker.ask(attack.method, attack.foreign.clone()).await?;
            let nothing = control.ask(attack.method, attack.absent.clone()).await?;
            asked.note(attack, &theirs);
            proof.attacks += 1;
            let tally = proof.targets.entry(attack.target.clone()).or_default();
            tally.attacks += 1;
            let judged = check_response(self.world, attack, &self.said, &theirs, &nothing);
            tally.refused += usize::from(judged.is_empty());
            found.extend(
                judged
                    .into_iter()
                    .map(|finding| format!("{}, {}: {finding}", attack.target, attack.what)),
            );
        }
        proof.findings.extend(found);
        Ok(asked)
    }
}
