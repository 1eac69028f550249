//! Why the database cannot be reached: the cause in one sentence, and what to do. No sentence contains the password.

use std::error::Error;
use std::io::{self, ErrorKind};

use rustls::CertificateError;
use tokio_postgres::error::SqlState;

use super::{DatabaseUrl, DbError};

/// The error of an attempt to connect.
pub(super) fn connect_error(url: &DatabaseUrl, error: tokio_postgres::Error) -> DbError {
    if error.as_db_error().is_some() {
        return DbError::Rejected {
            explanation: rejection(url, &error),
            error,
        };
    }
    DbError::Unavailable(cause(url, &error))
}

/// The error of an attempt that took too long.
pub(super) fn connect_timeout(url: &DatabaseUrl) -> DbError {
    DbError::Unavailable(no_answer(&url.servers()))
}

fn no_answer(servers: &str) -> String {
    format!(
        "{servers} does not answer; check host and port in DATABASE_URL, and whether a firewall drops the connection"
    )
}

/// PostgreSQL, or a pooler, answered with an error.
fn rejection(url: &DatabaseUrl, error: &tokio_postgres::Error) -> String {
    let (code, message) = error
        .as_db_error()
        .map_or((&SqlState::INTERNAL_ERROR, ""), |db| (db.code(), db.message()));
    let role = url.user().unwrap_or("of this account");
    let servers = url.servers();
    if *code == SqlState::INVALID_PASSWORD {
        format!("{servers} refuses the password of the role {role}; correct it in DATABASE_URL")
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        format!("{message}; create the database on {servers}, or correct its name in DATABASE_URL")
    } else if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        format!(
            "{servers} does not admit the role {role}: {message}; check the role in DATABASE_URL, and pg_hba.conf"
        )
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        format!("{servers} accepts no further connections: {message}; close others, or raise max_connections")
    } else if *code == SqlState::CANNOT_CONNECT_NOW {
        format!("{servers} is not ready: {message}; try again in a moment")
    } else {
        format!("{servers} refuses the connection: {message} ({})", code.code())
    }
}

fn cause(url: &DatabaseUrl, error: &tokio_postgres::Error) -> String {
    let servers = url.servers();
    let mut texts = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io_error) = error.downcast_ref::<io::Error>() {
            if let Some(tls) = io_error.get_ref().and_then(|inner| inner.downcast_ref()) {
                return tls_cause(&servers, tls);
            }
            if let Some(sentence) = io_cause(&servers, io_error) {
                return sentence;
            }
        }
        if let Some(sentence) = driver_cause(&servers, &error.to_string()) {
            return sentence;
        }
        texts.push(error.to_string());
        next = error.source();
    }
    format!("the connection to {servers} failed: {}", texts.join(": "))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the standard library adds kinds")]
fn io_cause(servers: &str, error: &io::Error) -> Option<String> {
    let text = error.to_string();
    // The standard library has no kind for the errors of getaddrinfo.
    if text.contains("lookup address") {
        return Some(format!(
            "no host of {servers} is known; check the host name in DATABASE_URL"
        ));
    }
    if text.contains("does not allow writes") {
        return Some(format!(
            "{servers} is a standby or read-only; let DATABASE_URL lead to the server that accepts writes"
        ));
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => Some(format!(
            "{servers} refuses connections; check host and port in DATABASE_URL, and whether PostgreSQL runs there"
        )),
        ErrorKind::TimedOut => Some(no_answer(servers)),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some(format!(
            "there is no route to {servers}; check the host in DATABASE_URL and the network"
        )),
        ErrorKind::NotFound => Some(format!(
            "there is no socket of PostgreSQL at {servers}; check folder and port in DATABASE_URL, and whether PostgreSQL runs"
        )),
        ErrorKind::PermissionDenied => Some(format!(
            "this account may not use the socket at {servers}; check the permissions of its folder"
        )),
        ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => Some(format!(
            "{servers} closed the connection; check in its log whether it is a PostgreSQL server, and why"
        )),
        _ => None,
    }
}

/// tokio-postgres has no codes for these errors. Its texts are constants.
fn driver_cause(servers: &str, text: &str) -> Option<String> {
    match text {
        "password missing" => Some(format!(
            "{servers} asks for a password, and DATABASE_URL has none; add it: postgres://role:PASSWORD@host/database"
        )),
        "server does not support TLS" => Some(format!(
            "{servers} does not offer TLS; turn on ssl there or, in a network that you trust, add sslmode=disable to DATABASE_URL"
        )),
        "no hostname provided for TLS handshake" => Some(
            "TLS needs the name in the server's certificate; give host beside hostaddr in DATABASE_URL"
                .to_owned(),
        ),
        "server did not use channel binding" => Some(format!(
            "{servers} does not offer channel binding, which channel_binding=require in DATABASE_URL asks for; it needs TLS and a password stored with scram-sha-256"
        )),
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "rustls adds errors")]
fn tls_cause(servers: &str, error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(invalid) = error else {
        return format!(
            "TLS with {servers} failed: {error}; check sslcert and sslkey in DATABASE_URL, and the server's log"
        );
    };
    let (what, remedy) = match invalid {
        CertificateError::UnknownIssuer => (
            "is signed by an authority that this system does not trust",
            "name the authority's certificate with sslrootcert=FILE in DATABASE_URL",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("has expired", "renew it on the server")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("is not valid yet", "check the clocks of both machines")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "is for another name (only the names in subjectAltName count)",
            "use the certificate's name as host in DATABASE_URL, or sslmode=verify-ca with sslrootcert=FILE",
        ),
        _ => {
            return format!(
                "the certificate of {servers} is not accepted: {error}; if it is self-signed, name it with sslrootcert=FILE in DATABASE_URL"
            );
        }
    };
    format!("the certificate of {servers} {what}; {remedy}")
}
