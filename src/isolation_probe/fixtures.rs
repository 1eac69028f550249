//! The three test tenants, and every identifier of the victim that an attacker could know.

mod identifiers;
mod tenants;
mod victim;

use std::sync::Arc;

use super::client::InMemoryClient;
use super::error::ProbeError;
use super::positive_control::{OwnRequest, request_own_data};
use super::test_tenant::{Identifier, TestTenant, random_word};
use crate::db::AdminDb;
use crate::server::CallService;

/// The test tenants and what the attacks are made of.
pub struct Fixtures {
    /// Sends the victim's identifiers.
    pub attacker: TestTenant,
    /// Has the same data as the attacker and sends identifiers that do not exist.
    pub control: TestTenant,
    /// The tenant whose data must not be revealed.
    pub victim: TestTenant,
    /// The victim's identifiers.
    pub identifiers: Vec<Identifier>,
    /// The victim's cursors by list method, each with a forged one.
    pub cursors: Vec<(&'static str, Identifier)>,
    /// Texts that no response to the attacker may contain.
    pub secrets: Vec<String>,
    /// The attacker's requests for own data before the victim existed, each with the control's same request afterwards.
    pub baseline: Vec<(OwnRequest, OwnRequest)>,
}

impl Fixtures {
    /// Creates the tenants with skills, API keys, installs and reports.
    ///
    /// # Errors
    /// When the database fails or the server rejects a call.
    pub async fn create(admin: &AdminDb, service: &Arc<CallService>) -> Result<Self, ProbeError> {
        let word = random_word();
        let description = "Fills in the usual forms.";
        let attacker = tenants::create(admin, service, "attacker", "mine", description).await?;
        let control = tenants::create(admin, service, "control", "mine", description).await?;
        // Until here both have done the same, so the victim is the only difference between the two lists of responses.
        let mut client = InMemoryClient::connect_legacy(service, attacker.key.clone()).await?;
        let before = request_own_data(&attacker, &mut client).await?;
        let description = format!("Fills in {word} forms of victim.");
        let victim = tenants::create(admin, service, "victim", "victim", &description).await?;
        victim::record_activity(admin, service, &victim, &description).await?;
        let mut client = InMemoryClient::connect_legacy(service, control.key.clone()).await?;
        let after = request_own_data(&control, &mut client).await?;
        let (identifiers, cursors) = identifiers::collect(admin, service, &victim, &word).await?;
        let mut secrets = vec![
            word,
            "of victim".to_owned(),
            "by victim".to_owned(),
            tenants::email("victim"),
            victim.slug.clone(),
        ];
        secrets.extend(identifiers.iter().map(|id| id.existing.clone()));
        secrets.retain(|secret| !secret.is_empty());
        Ok(Self {
            attacker,
            control,
            victim,
            identifiers,
            cursors,
            secrets,
            baseline: before.into_iter().zip(after).collect(),
        })
    }
}
