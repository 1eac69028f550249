//! `skillkeep trust`: accepts the keys with which a registry signs.

use super::client::ClientArgs;
use super::failed;
use crate::cli::output;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::{LocalInstallError, Machine, RegistryClient as _, Signers, stated_keys};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TrustArgs {
    /// Accept the keys; without it they are only shown
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(in crate::cli) async fn run(config: &Config, args: TrustArgs) -> Result<(), CliError> {
    let folder = Machine::of_environment(None).config_folder().map_err(failed)?;
    let mut signers = Signers::read(&folder).map_err(|error| failed(LocalInstallError::Signer(error)))?;
    let client = args.client.connect(config, None).await?;
    let registry = client.id();
    let stated = stated_keys(&client).await;
    client.close().await;
    let stated = stated.map_err(failed)?;
    let accepted = signers.key_ids(&registry);
    let mut has_new = false;
    for key in &stated {
        let is_known = accepted.contains(&key.key_id().to_string());
        has_new |= !is_known;
        let state = if is_known { "accepted" } else { "new" };
        output::line(&format!("{} {key} ({state})", key.key_id()))?;
    }
    let gone = accepted
        .iter()
        .filter(|id| !stated.iter().any(|key| key.key_id().to_string() == **id));
    for id in gone {
        output::line(&format!("{id} (accepted, no longer stated)"))?;
    }
    if stated.is_empty() {
        return output::line("The registry signs nothing.");
    }
    if args.yes {
        signers
            .accept(&registry, &stated)
            .map_err(|error| failed(LocalInstallError::Signer(error)))?;
        return output::line(&format!("Accepted {} keys of {registry}.", stated.len()));
    }
    if has_new {
        let message = "compare the new keys with what your administrator says (`skillkeep signing-key list`), then run this again \
                       with --yes";
        return Err(CliError::new(CliErrorKind::Findings, message));
    }
    Ok(())
}
