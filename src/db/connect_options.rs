//! Where the database is, and how it is talked to.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DbError;

/// How long a new connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the database is, with which role and password. Its `Debug` hides them.
#[derive(Clone)]
pub struct DatabaseUrl(Config);

impl DatabaseUrl {
    /// Takes settings that were put together in the program, as for the embedded database.
    #[must_use]
    pub fn from_config(mut config: Config) -> Self {
        config
            .connect_timeout(CONNECT_TIMEOUT)
            // A standby would show lists and keys as they were a while ago, and takes no record of a call.
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .application_name("skillkeep");
        Self(config)
    }

    /// The same database by another role without a password, as the embedded cluster's socket allows.
    #[must_use]
    pub fn with_user(&self, user: &str) -> Self {
        let mut config = self.0.clone();
        config.user(user);
        Self(config)
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut config = self.0.clone();
        config.dbname(name);
        Self(config)
    }

    /// The role that connects, where the URL names one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.0.get_user()
    }

    /// TLS with a checked certificate everywhere but on this machine, unless the URL says otherwise.
    pub(super) fn tls(&self) -> Result<Option<MakeRustlsConnect>, DbError> {
        let local = self.0.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
            #[cfg(unix)]
            Host::Unix(_) => true,
        });
        let mode = self.0.get_ssl_mode();
        let wanted = mode == SslMode::Require || (mode != SslMode::Disable && !local);
        if !wanted {
            return Ok(None);
        }
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| DbError::Unavailable(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(MakeRustlsConnect::new(config)))
    }

    /// The settings to connect with: what [`Self::tls`] decided, said to the driver.
    pub(super) fn config(&self, tls: bool) -> Config {
        let mut config = self.0.clone();
        config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
        config
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let config: Config = text.parse().map_err(|_| {
            "DATABASE_URL is not a PostgreSQL address; it looks like postgres://role:password@host:5432/database".to_owned()
        })?;
        if config.get_hosts().is_empty() {
            return Err(
                "DATABASE_URL names no host; it looks like postgres://role:password@host:5432/database"
                    .to_owned(),
            );
        }
        Ok(Self::from_config(config))
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(hidden)")
    }
}

/// What a dropped transaction needs in order to stop its statement.
#[derive(Clone)]
pub(super) enum Tls {
    Off,
    On(MakeRustlsConnect),
}

/// The settings for one connection beside the pool, which notices within a minute that its peer is gone.
pub(super) fn connect_config(url: &DatabaseUrl) -> Result<(Config, Tls), DbError> {
    let tls = url.tls()?;
    let mut config = url.config(tls.is_some());
    config
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(10))
        .keepalives_retries(3);
    Ok((config, tls.map_or(Tls::Off, Tls::On)))
}
