//! `skillkeep migrate`: brings the schema up to date, or prints it for an administrator.

use super::database::{Database, db_failure, schema_failure};
use super::output;
use crate::config::Config;
use crate::db::{connect_owner, migrations};
use crate::error::CliError;

#[derive(Debug, clap::Args)]
pub(super) struct MigrateArgs {
    /// Print the SQL of the whole schema instead of applying it
    #[arg(long)]
    print: bool,
}

pub(super) async fn run(config: &Config, args: MigrateArgs) -> Result<(), CliError> {
    if args.print {
        return output::line(migrations::print().trim_end());
    }
    // Our own database is brought up to date by being opened.
    let database = Database::open(config).await?;
    let outcome = async {
        let mut owner = connect_owner(database.owner()).await.map_err(db_failure)?;
        migrations::apply(&mut owner).await.map_err(schema_failure)
    }
    .await;
    database.close().await;
    let applied = outcome?;
    let version = migrations::wanted_version();
    if config.json {
        return output::json(&serde_json::json!({"applied": applied, "version": version}));
    }
    for name in &applied {
        output::line(&format!("applied {name}"))?;
    }
    output::line(&format!("The schema is version {version}."))
}
