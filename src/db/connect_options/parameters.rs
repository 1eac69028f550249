//! The parameters of libpq in `DATABASE_URL`: which the driver takes, which skillkeep takes, and which are refused by name.

use percent_encoding::percent_decode_str;

use crate::db::tls::{Roots, SslMode, TlsSettings};

/// Parameters that tokio-postgres takes, by libpq's names.
const OF_THE_DRIVER: [&str; 17] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "channel_binding",
    "load_balance_hosts",
];

/// Parameters of libpq that are refused.
const UNSUPPORTED: [&str; 24] = [
    "passfile",
    "require_auth",
    "replication",
    "requiressl",
    "sslkeylogfile",
    "sslpassword",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "requirepeer",
    "ssl_max_protocol_version",
    "min_protocol_version",
    "max_protocol_version",
    "gssdelegation",
    "scram_client_key",
    "scram_server_key",
    "service",
    "servicefile",
    "oauth_issuer",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_scope",
    "oauth_ca_file",
    "oauth_ca_debug_file",
];

/// Parameters that have an effect in libpq and none here, with the values for which that is right.
const WITHOUT_EFFECT: [(&str, &[&str]); 6] = [
    ("gssencmode", &["disable", "prefer"]),
    ("krbsrvname", &[]),
    ("gsslib", &[]),
    ("sslcompression", &["0"]),
    ("sslsni", &["1"]),
    ("client_encoding", &["UTF8", "utf8", "UTF-8", "utf-8", "auto"]),
];

/// What `DATABASE_URL` says, apart from what the driver takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    /// For the driver, in the form of the address.
    pub(super) for_driver: Vec<(String, String)>,
    pub(super) tls: TlsSettings,
}

impl Parameters {
    /// Adds a parameter. `is_named` permits that the error names a parameter that libpq does not know either.
    ///
    /// # Errors
    /// The parameter or its value is refused. The text contains no value but those of a fixed list.
    pub(super) fn add(&mut self, key: &str, value: String, is_named: bool) -> Result<(), String> {
        match key {
            "sslmode" => {
                self.tls.mode = SslMode::parse(&value).ok_or_else(|| {
                    invalid(key, "disable, allow, prefer, require, verify-ca or verify-full")
                })?;
            }
            "sslrootcert" if value == "system" => self.tls.roots = Roots::System,
            "sslrootcert" => self.tls.roots = Roots::File(value.into()),
            "sslcert" => self.tls.certificate = Some(value.into()),
            "sslkey" => self.tls.key = Some(value.into()),
            "ssl_min_protocol_version" => {
                self.tls.only_tls13 = match value.as_str() {
                    "TLSv1" | "TLSv1.1" | "TLSv1.2" => false,
                    "TLSv1.3" => true,
                    _ => return Err(invalid(key, "TLSv1.2 or TLSv1.3")),
                }
            }
            "target_session_attrs" => check_session_attributes(&value)?,
            "keepalives_count" => self.for_driver.push(("keepalives_retries".to_owned(), value)),
            "fallback_application_name" => {
                // The driver keeps the last one.
                self.for_driver.insert(0, ("application_name".to_owned(), value));
            }
            _ if OF_THE_DRIVER.contains(&key) => {
                if key == "sslnegotiation" {
                    self.tls.is_direct = value == "direct";
                }
                self.for_driver.push((key.to_owned(), value));
            }
            _ => refuse_unknown(key, &value, is_named)?,
        }
        Ok(())
    }
}

/// skillkeep records each call, so it needs a server that accepts writes.
fn check_session_attributes(value: &str) -> Result<(), String> {
    match value {
        "any" | "read-write" | "primary" => Ok(()),
        "read-only" | "standby" | "prefer-standby" => Err(
            "target_session_attrs in DATABASE_URL asks for a standby, but skillkeep records each call and needs a server that accepts writes; use read-write"
                .to_owned(),
        ),
        _ => Err(invalid("target_session_attrs", "any, read-write or primary")),
    }
}

fn refuse_unknown(key: &str, value: &str, is_named: bool) -> Result<(), String> {
    if let Some((_, values)) = WITHOUT_EFFECT.iter().find(|(name, _)| *name == key) {
        return if values.is_empty() || values.contains(&value) {
            Ok(())
        } else {
            Err(invalid(key, &values.join(" or ")))
        };
    }
    if UNSUPPORTED.contains(&key) {
        return Err(format!(
            "skillkeep does not support the parameter {key} in DATABASE_URL; remove it"
        ));
    }
    // In an address that is not what it seems, this may be a part of the password.
    let name = if is_named {
        format!(" {key}")
    } else {
        String::new()
    };
    Err(format!(
        "DATABASE_URL has a parameter{name} that PostgreSQL's libpq does not know; remove it, and write %3F, %26 and %40 for ?, & and @ in a password"
    ))
}

pub(super) fn invalid(key: &str, expected: &str) -> String {
    format!("{key} in DATABASE_URL has an invalid value; expected {expected}")
}

/// Takes the parameters out of an address `postgres://…`; returns it without them. `None` for the form `key=value`.
///
/// # Errors
/// As [`Parameters::add`].
pub(super) fn split_url(text: &str, parameters: &mut Parameters) -> Result<Option<String>, String> {
    let Some(scheme) = ["postgres://", "postgresql://"]
        .into_iter()
        .find(|scheme| text.starts_with(scheme))
    else {
        return Ok(None);
    };
    // A password may contain a question mark.
    let credentials = text.find('@').unwrap_or(scheme.len());
    let (_, rest) = text.split_at(credentials);
    let Some(at) = rest.find('?') else {
        return Ok(Some(text.to_owned()));
    };
    let (address, query) = text.split_at(credentials + at);
    let is_named = text.matches('@').count() <= 1;
    for pair in query
        .trim_start_matches('?')
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let Some((key, value)) = pair.split_once('=') else {
            return Err("a parameter of DATABASE_URL has no value; expected name=value".to_owned());
        };
        let decode = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .map(String::from)
                .map_err(|_| "a parameter of DATABASE_URL is not UTF-8".to_owned())
        };
        parameters.add(&decode(key)?, decode(value)?, is_named)?;
    }
    Ok(Some(address.to_owned()))
}

/// Reads the form `key=value key='value with spaces'`. Within quotes and outside, a backslash takes the next character as it is.
///
/// # Errors
/// As [`Parameters::add`], and if the form is broken.
pub(super) fn read_pairs(text: &str, parameters: &mut Parameters) -> Result<(), String> {
    let broken = || {
        "DATABASE_URL is not a PostgreSQL address; expected postgres://role:password@host:5432/database"
            .to_owned()
    };
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or_else(broken)?;
        let key = key.trim_end();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(broken());
        }
        let (value, after) = read_value(after.trim_start()).ok_or_else(broken)?;
        parameters.add(key, value, false)?;
        rest = after.trim_start();
    }
    Ok(())
}

/// Reads a value; returns it and what follows. `None` if a quote is not closed.
fn read_value(text: &str) -> Option<(String, &str)> {
    let (is_quoted, text) = match text.strip_prefix('\'') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next()?.1),
            '\'' if is_quoted => return Some((value, text.get(at + 1..)?)),
            blank if !is_quoted && blank.is_whitespace() => return Some((value, text.get(at..)?)),
            other => value.push(other),
        }
    }
    (!is_quoted).then_some((value, ""))
}
