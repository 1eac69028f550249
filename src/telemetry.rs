//! Logs: to stderr always, because stdout belongs to the protocol and to results.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Libraries that would log messages, arguments and contents below these levels, whatever the filter says.
const MAX_LEVELS: [(&str, &str); 3] = [("rmcp", "error"), ("tokio_postgres", "info"), ("hyper", "info")];

fn wrong_cap(library: &str) -> String {
    format!("the log level of {library} cannot be limited")
}

/// Starts logging, and turns panics into log lines that show where, never what: a panic's message may hold contents.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let wrong = |_: tracing_subscriber::filter::ParseError| {
        format!("\"{filter}\" is not a log filter; use error, warn, info, debug or trace")
    };
    let mut capped = EnvFilter::try_new(filter).map_err(wrong)?;
    for (library, cap) in MAX_LEVELS {
        capped = capped.add_directive(
            format!("{library}={cap}")
                .parse()
                .map_err(|_| wrong_cap(library))?,
        );
    }
    let filter = capped;
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(place, "panicked");
    }));
    Ok(())
}
