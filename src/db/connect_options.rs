//! How to connect to the database: address, role, TLS, timeouts.

mod parameters;

use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode as DriverSslMode, TargetSessionAttrs};

use self::parameters::{Parameters, invalid, read_pairs, split_url};
use super::DbError;
use super::tls::{SslMode, TlsConnector, TlsSettings};

/// For a new connection, including TLS and authentication, without `connect_timeout` in the address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For all hosts of an address together.
const MAX_CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// The address of the database, with role and password. Its `Debug` output contains none of them.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Config,
    tls: TlsSettings,
}

impl DatabaseUrl {
    /// Creates an address from settings instead of a URL, as for the embedded PostgreSQL.
    #[must_use]
    pub fn from_config(config: Config) -> Self {
        Self::new(config, TlsSettings::default())
    }

    fn new(mut config: Config, tls: TlsSettings) -> Self {
        // A standby may return outdated rows, and cannot record a call.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("skillkeep");
        }
        Self { config, tls }
    }

    /// Whether the address has a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// The same database with another role. The password is unchanged; the embedded PostgreSQL needs none.
    #[must_use]
    pub fn with_user(&self, user: &str) -> Self {
        let mut url = self.clone();
        url.config.user(user);
        url
    }

    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut url = self.clone();
        url.config.dbname(name);
        url
    }

    /// The role, if the URL names one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.config.get_user()
    }

    /// The hosts with their ports, for messages: `db.example.com:5432`.
    pub(super) fn servers(&self) -> String {
        let ports = self.config.get_ports();
        let names: Vec<String> = if self.config.get_hosts().is_empty() {
            self.config
                .get_hostaddrs()
                .iter()
                .map(ToString::to_string)
                .collect()
        } else {
            self.config.get_hosts().iter().map(host_name).collect()
        };
        let servers: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let port = ports.get(at).or_else(|| ports.first()).copied().unwrap_or(5432);
                format!("{name}:{port}")
            })
            .collect();
        servers.join(", ")
    }

    /// How long a connection may take. Each host has the time of `connect_timeout`.
    pub(super) fn connect_timeout(&self) -> Duration {
        let hosts = self
            .config
            .get_hosts()
            .len()
            .max(self.config.get_hostaddrs().len())
            .max(1);
        let hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
        let each = self
            .config
            .get_connect_timeout()
            .copied()
            .unwrap_or(CONNECT_TIMEOUT);
        each.saturating_mul(hosts).min(MAX_CONNECT_TIMEOUT)
    }

    /// Returns the TLS configuration, or `None` for a plain connection.
    ///
    /// The URL's `sslmode` decides; by default, TLS is used for every host except this machine. A Unix socket is never encrypted.
    pub(super) fn tls(&self) -> Result<Option<TlsConnector>, DbError> {
        let hosts = self.config.get_hosts();
        let is_local = self
            .config
            .get_hostaddrs()
            .iter()
            .all(std::net::IpAddr::is_loopback)
            && hosts.iter().all(|host| match host {
                Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
                #[cfg(unix)]
                Host::Unix(_) => true,
            });
        let needs_tls = match self.tls.mode {
            SslMode::Disable => false,
            SslMode::Prefer => !is_local,
            SslMode::VerifyFull | SslMode::VerifyCa => hosts.is_empty() || hosts.iter().any(is_tcp),
        };
        if !needs_tls {
            return Ok(None);
        }
        self.tls.connector().map(Some).map_err(DbError::Unavailable)
    }

    /// The settings for the driver, with or without TLS as decided by [`Self::tls`].
    pub(super) fn config(&self, tls: bool) -> Config {
        let mut config = self.config.clone();
        config.ssl_mode(if tls {
            DriverSslMode::Require
        } else {
            DriverSslMode::Disable
        });
        config
    }
}

fn is_tcp(host: &Host) -> bool {
    match host {
        Host::Tcp(_) => true,
        #[cfg(unix)]
        Host::Unix(_) => false,
    }
}

fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(folder) => folder.display().to_string(),
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    /// Reads libpq's two forms of an address. The error names the parameter that is wrong, and contains no other part of `text`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parameters = Parameters::default();
        let address = split_url(text, &mut parameters)?;
        let mut config: Config = match &address {
            Some(address) => address.parse().map_err(|_| {
                "DATABASE_URL is not a PostgreSQL address; expected postgres://role:password@host:5432/database"
                    .to_owned()
            })?,
            None => {
                read_pairs(text, &mut parameters)?;
                Config::new()
            }
        };
        for (key, value) in &parameters.for_driver {
            set(&mut config, key, value)?;
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(
                "DATABASE_URL names no host; expected postgres://role:password@host:5432/database".to_owned(),
            );
        }
        if matches!(parameters.tls.roots, super::tls::Roots::System)
            && parameters.tls.mode == SslMode::VerifyCa
        {
            return Err(
                "sslmode=verify-ca in DATABASE_URL accepts any name that an authority of the system has signed; add sslrootcert=FILE, or use verify-full"
                    .to_owned(),
            );
        }
        Ok(Self::new(config, parameters.tls))
    }
}

/// Sets a parameter through the driver's own parser, which takes `'quoted values'`.
fn set(config: &mut Config, key: &str, value: &str) -> Result<(), String> {
    match key {
        "host" => {
            for host in value.split(',') {
                config.host(host);
            }
        }
        "user" => {
            config.user(value);
        }
        "password" => {
            config.password(value);
        }
        "dbname" => {
            config.dbname(value);
        }
        "options" => {
            config.options(value);
        }
        "application_name" => {
            config.application_name(value);
        }
        _ => {
            let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
            let one: Config = format!("{key}='{quoted}'")
                .parse()
                .map_err(|_| invalid(key, "one that libpq accepts"))?;
            copy(config, &one, key);
        }
    }
    Ok(())
}

/// Copies the parameter `key` from `one`, which was parsed from it.
fn copy(config: &mut Config, one: &Config, key: &str) {
    match key {
        "hostaddr" => {
            for address in one.get_hostaddrs() {
                config.hostaddr(*address);
            }
        }
        "port" => {
            for port in one.get_ports() {
                config.port(*port);
            }
        }
        "connect_timeout" => {
            if let Some(timeout) = one.get_connect_timeout() {
                config.connect_timeout(*timeout);
            }
        }
        "tcp_user_timeout" => {
            if let Some(timeout) = one.get_tcp_user_timeout() {
                config.tcp_user_timeout(*timeout);
            }
        }
        "keepalives" => {
            config.keepalives(one.get_keepalives());
        }
        "keepalives_idle" => {
            config.keepalives_idle(one.get_keepalives_idle());
        }
        "keepalives_interval" => {
            if let Some(interval) = one.get_keepalives_interval() {
                config.keepalives_interval(interval);
            }
        }
        "keepalives_retries" => {
            if let Some(retries) = one.get_keepalives_retries() {
                config.keepalives_retries(retries);
            }
        }
        "channel_binding" => {
            config.channel_binding(one.get_channel_binding());
        }
        "load_balance_hosts" => {
            config.load_balance_hosts(one.get_load_balance_hosts());
        }
        "sslnegotiation" => {
            config.ssl_negotiation(one.get_ssl_negotiation());
        }
        _ => {}
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
    On(TlsConnector),
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

#[cfg(test)]
mod tests {
    use super::super::tls::Roots;
    use super::*;

    fn url(text: &str) -> DatabaseUrl {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_form_of_the_parameters_is_understood() {
        let of_url = url(
            "postgresql://ada:p%40ss@a.example:6000,b.example/db?sslmode=verify-full&sslrootcert=/r%20oot.pem\
             &sslcert=/c.pem&sslkey=/k.pem&target_session_attrs=primary&options=-c%20statement_timeout%3D5s\
             &application_name=reports&connect_timeout=2&channel_binding=require&keepalives_count=4\
             &gssencmode=prefer&client_encoding=UTF8&sslsni=1",
        );
        let of_pairs = url(
            "user=ada password='p@ss' host=a.example,b.example port=6000,5432 dbname=db sslmode = verify-full \
             sslrootcert='/r oot.pem' sslcert=/c.pem sslkey=/k.pem target_session_attrs=any \
             options='-c statement_timeout=5s' application_name=reports connect_timeout=2 channel_binding=require \
             keepalives_count=4",
        );
        for url in [of_url, of_pairs] {
            assert_eq!(url.user(), Some("ada"));
            assert_eq!(url.config.get_password(), Some(b"p@ss".as_slice()));
            assert_eq!(url.servers(), "a.example:6000, b.example:5432");
            assert_eq!(url.config.get_options(), Some("-c statement_timeout=5s"));
            assert_eq!(url.config.get_application_name(), Some("reports"));
            assert_eq!(url.connect_timeout(), Duration::from_secs(4), "2 s for each host");
            assert_eq!(
                url.config.get_target_session_attrs(),
                TargetSessionAttrs::ReadWrite
            );
            assert_eq!(url.config.get_keepalives_retries(), Some(4));
            let expected = TlsSettings {
                mode: SslMode::VerifyFull,
                roots: Roots::File("/r oot.pem".into()),
                certificate: Some("/c.pem".into()),
                key: Some("/k.pem".into()),
                ..TlsSettings::default()
            };
            assert_eq!(url.tls, expected);
        }
    }

    #[test]
    fn wrong_parameter_is_named_and_no_value_is_shown() {
        for (parameter, named) in [
            ("sslmode=on", "sslmode"),
            ("sslmode=verify-ca", "sslmode=verify-ca"),
            (
                "target_session_attrs=standby",
                "target_session_attrs in DATABASE_URL asks for a standby",
            ),
            ("target_session_attrs=secret", "target_session_attrs"),
            ("channel_binding=secret", "channel_binding"),
            ("connect_timeout=secret", "connect_timeout"),
            ("sslpassword=secret", "sslpassword"),
            ("passfile=secret", "passfile"),
            ("service=secret", "service"),
            ("sslcrl=secret", "sslcrl"),
            ("gssencmode=require", "gssencmode"),
            ("client_encoding=LATIN1", "client_encoding"),
            ("pool_size=5", "pool_size"),
        ] {
            let error = format!("postgres://ada@db.example/db?{parameter}")
                .parse::<DatabaseUrl>()
                .unwrap_err();
            assert!(error.contains(named), "{parameter}: {error}");
            assert!(!error.contains("secret"), "{parameter}: {error}");
        }
        // Where the end of the password is not clear, nothing of it is shown.
        for text in [
            "postgres://ada:pa@ss?secret=1@db.example/db",
            "host=db.example password=a secret=1",
            "host=db.example password='a secret=1",
        ] {
            let error = text.parse::<DatabaseUrl>().unwrap_err();
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
