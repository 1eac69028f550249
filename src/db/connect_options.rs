//! How to connect to the database: address, role, TLS, timeouts.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DbError;

/// For a new connection, including TLS and authentication.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The address of the database, with role and password. Its `Debug` output contains none of them.
#[derive(Clone)]
pub struct DatabaseUrl(Config);

impl DatabaseUrl {
    /// Creates an address from settings instead of a URL, as for the embedded PostgreSQL.
    #[must_use]
    pub fn from_config(mut config: Config) -> Self {
        config
            .connect_timeout(CONNECT_TIMEOUT)
            // A standby may return outdated rows, and cannot record a call.
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .application_name("skillkeep");
        Self(config)
    }

    /// The same database with another role. The password is unchanged; the embedded PostgreSQL needs none.
    #[must_use]
    pub fn with_user(&self, user: &str) -> Self {
        let mut config = self.0.clone();
        config.user(user);
        Self(config)
    }

    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut config = self.0.clone();
        config.dbname(name);
        Self(config)
    }

    /// The role, if the URL names one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.0.get_user()
    }

    /// Returns the TLS configuration, or `None` for a plain connection.
    ///
    /// The URL's `sslmode` decides: `require` and `disable` are followed; otherwise TLS is used for every host except this machine.
    /// The certificate is always verified against the system's roots.
    pub(super) fn tls(&self) -> Result<Option<MakeRustlsConnect>, DbError> {
        let is_local = self.0.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
            #[cfg(unix)]
            Host::Unix(_) => true,
        });
        let mode = self.0.get_ssl_mode();
        let needs_tls = mode == SslMode::Require || (mode != SslMode::Disable && !is_local);
        if !needs_tls {
            return Ok(None);
        }
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| DbError::Unavailable(format!("cannot set up TLS: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(MakeRustlsConnect::new(config)))
    }

    /// The settings for the driver, with or without TLS as decided by [`Self::tls`].
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
            "DATABASE_URL is not a PostgreSQL address; expected postgres://role:password@host:5432/database".to_owned()
        })?;
        if config.get_hosts().is_empty() {
            return Err(
                "DATABASE_URL names no host; expected postgres://role:password@host:5432/database".to_owned(),
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

/// Whether connections use TLS. Also needed to cancel a statement, which opens a connection of its own.
#[derive(Clone)]
pub(super) enum Tls {
    Off,
    On(MakeRustlsConnect),
}

/// The settings for a connection outside the pool. TCP keepalives detect a dead peer within 60 s.
pub(super) fn connect_config(url: &DatabaseUrl) -> Result<(Config, Tls), DbError> {
    let tls = url.tls()?;
    let mut config = url.config(tls.is_some());
    config
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(10))
        .keepalives_retries(3);
    Ok((config, tls.map_or(Tls::Off, Tls::On)))
}
