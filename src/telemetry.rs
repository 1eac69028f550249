//! Logging to stderr. Stdout is reserved for the protocol and for results.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Libraries that log messages, arguments and contents at lower levels. The user's filter cannot override these limits.
const MAX_LEVELS: [(&str, &str); 3] = [("rmcp", "error"), ("tokio_postgres", "info"), ("hyper", "info")];

/// Starts logging, and logs panics with their source location only, because a panic's message may contain data.
///
/// # Errors
/// If `filter` is not an `EnvFilter` directive; the text is for the user.
///
/// # Panics
/// If logging was already started.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let mut env_filter = EnvFilter::try_new(filter)
        .map_err(|_| format!("\"{filter}\" is not a log filter; use error, warn, info, debug or trace"))?;
    for (library, level) in MAX_LEVELS {
        let directive = format!("{library}={level}")
            .parse()
            .map_err(|_| format!("cannot limit the log level of {library}"))?;
        env_filter = env_filter.add_directive(directive);
    }
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // It would report a failed write to stderr with a panic, and a panic in the hook below aborts the process.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(env_filter);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic
            .location()
            .map_or_else(|| "unknown".to_owned(), ToString::to_string);
        tracing::error!(location, "panicked");
    }));
    Ok(())
}
