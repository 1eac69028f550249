//! The option `--tenant` of commands that work on one tenant.

#[derive(Debug, Clone, clap::Args)]
pub(super) struct TenantArg {
    /// The tenant, by its slug
    #[arg(long = "tenant", default_value = "default", value_name = "SLUG")]
    pub(super) slug: String,
}
