//! `skillkeep migrate`: brings the schema up to date, or prints its SQL for a database administrator.

use super::database::{Database, db_failure, schema_failure};
use super::{output, search};
use crate::config::Config;
use crate::db::{connect_owner, migrations, require_bound_owner};
use crate::error::CliError;

#[derive(Debug, clap::Args)]
pub(super) struct MigrateArgs {
    /// Print the SQL of the whole schema without applying it
    ///
    /// For a database administrator who runs it. Connects to no database.
    #[arg(long)]
    print: bool,
}

pub(super) async fn run(config: &Config, args: MigrateArgs) -> Result<(), CliError> {
    if args.print {
        return output::line(migrations::print().trim_end());
    }
    // Opening the embedded database has migrated it already.
    let database = Database::open(config).await?;
    let outcome = async {
        let mut owner = connect_owner(database.owner()).await.map_err(db_failure)?;
        require_bound_owner(&owner).await.map_err(schema_failure)?;
        let applied = migrations::apply(&mut owner).await.map_err(schema_failure)?;
        let indexed = search::index_all(&database.admin().await?).await?;
        Ok((applied, indexed))
    }
    .await;
    database.close().await;
    let (applied, indexed) = outcome?;
    let version = migrations::required_version();
    if config.json {
        let report = serde_json::json!({"applied": applied, "version": version, "indexed_tenants": indexed});
        return output::json(&report);
    }
    for name in &applied {
        output::line(&format!("applied {name}"))?;
    }
    for tenant in &indexed {
        output::line(&format!("indexed the skills of {tenant}"))?;
    }
    output::line(&format!("The schema has version {version}."))
}
