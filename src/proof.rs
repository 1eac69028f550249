//! Proves through the server itself that one tenant cannot reach another: three throw-away tenants, one of whom asks every
//! tool and every method for what is the other's, while his twin asks for what does not exist.
//!
//! What is asked is made from the tools' own schemas and from the server's list of methods, so a new tool is attacked without
//! anybody remembering. An answer must be word for word what the twin gets, name nothing of the victim's, and leave the same
//! traces; and not one row of the victim's may change.

mod ask;
mod attack;
mod judge;
mod methods;
mod schema;
mod texts;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::db::{DatabaseUrl, DbError, Rehearsal, table_sums};
use crate::server::{Door, Limits};

pub use ask::{AskError, Asking, Pipe};
pub use attack::{Attack, attacks};
pub use judge::judge;
pub use world::{Handle, Party, World};

/// What the attacks showed.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Proof {
    /// Questions asked, those of the twin not counted.
    pub attacks: usize,
    /// How many of them each tool and method got.
    pub targets: BTreeMap<String, usize>,
    /// What is wrong, a sentence each.
    pub findings: Vec<String>,
}

/// Why the proof could not be brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The server did not answer as the protocol wants.
    #[error("the proof could not be brought to its end: {0}")]
    Broken(String),
}

impl From<AskError> for ProofError {
    fn from(error: AskError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Plants the three tenants, attacks, and takes all of it back: nothing is ever committed.
///
/// # Errors
/// When the database fails or the server stops answering.
pub async fn rehearse(admin: &DatabaseUrl) -> Result<Proof, ProofError> {
    let rehearsal = Rehearsal::new(admin)?;
    let proof = rehearse_in(&rehearsal).await;
    let ended = rehearsal.end().await;
    let proof = proof?;
    ended?;
    Ok(proof)
}

async fn rehearse_in(rehearsal: &Rehearsal) -> Result<Proof, ProofError> {
    let door = Arc::new(Door::new(rehearsal.server(), Limits::default()));
    let world = World::plant(&rehearsal.admin(), &door).await?;
    let mut attacker = Pipe::connect(&door, world.attacker.key.clone()).await?;
    let mut twin = Pipe::connect(&door, world.twin.key.clone()).await?;
    let before = table_sums(&rehearsal.admin(), world.victim.tenant).await?;
    let mut proof = run(&world, &mut attacker, &mut twin).await?;
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
    let twins = counts(table_sums(&rehearsal.admin(), world.twin.tenant).await?);
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

/// Asks everything of both, and judges the answers.
///
/// # Errors
/// When the server stops answering.
pub async fn run(
    world: &World,
    attacker: &mut impl Asking,
    twin: &mut impl Asking,
) -> Result<Proof, ProofError> {
    run_every(1, world, attacker, twin).await
}

/// Asks every so many-th question of both, and judges the answers.
///
/// # Errors
/// When the server stops answering.
pub async fn run_every(
    step: usize,
    world: &World,
    attacker: &mut impl Asking,
    twin: &mut impl Asking,
) -> Result<Proof, ProofError> {
    let mut proof = Proof::default();
    let (attacks, uncovered) = attacks(world);
    proof.findings.extend(
        uncovered
            .into_iter()
            .map(|target| format!("no attack is written for {target}")),
    );
    let mut found = BTreeSet::new();
    for attack in attacks.iter().step_by(step) {
        let theirs = attacker.ask(attack.method, attack.foreign.clone()).await?;
        let nothing = twin.ask(attack.method, attack.absent.clone()).await?;
        proof.attacks += 1;
        *proof.targets.entry(attack.target.clone()).or_default() += 1;
        for finding in judge(world, attack, &theirs, &nothing) {
            found.insert(format!("{}, {}: {finding}", attack.target, attack.what));
        }
    }
    proof.findings.extend(found);
    Ok(proof)
}
