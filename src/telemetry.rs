//! Logging to stderr. Stdout is reserved for the protocol and for results.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;
use crate::shown_text::{visible_json, visible_lines};

/// Libraries that log messages, arguments and contents at lower levels. The user's filter cannot override these limits.
const MAX_LEVELS: [(&str, &str); 3] = [("rmcp", "error"), ("tokio_postgres", "info"), ("hyper", "info")];

/// Writes to stderr what is safe to show: log lines may hold texts of callers. The library escapes ESC in values, but neither
/// bidirectional nor zero-width characters.
struct VisibleStderr {
    format: LogFormat,
    /// Whether ESC, which begins the colors, is kept.
    keeps_colors: bool,
}

impl VisibleStderr {
    fn visible<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.format {
            LogFormat::Json => visible_json(text),
            LogFormat::Text if self.keeps_colors => {
                let shown: Vec<Cow<'_, str>> = text.split('\u{1b}').map(visible_lines).collect();
                Cow::Owned(shown.join("\u{1b}"))
            }
            LogFormat::Text => visible_lines(text),
        }
    }
}

impl io::Write for VisibleStderr {
    /// The library writes each event with one call.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().write_all(self.visible(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

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
    // https://no-color.org
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let has_colors = std::io::stderr().is_terminal() && !is_unwanted;
    let builder = tracing_subscriber::fmt()
        .with_writer(move || VisibleStderr {
            format,
            keeps_colors: has_colors,
        })
        // It would report a failed write to stderr with a panic, and a panic in the hook below aborts the process.
        .log_internal_errors(false)
        .with_ansi(has_colors)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_hold_no_hidden_character() {
        let stderr = |format, keeps_colors| VisibleStderr { format, keeps_colors };
        let line = "\u{1b}[31mWARN\u{1b}[0m a\u{202e}b\u{200b}\n";
        assert_eq!(
            stderr(LogFormat::Text, true).visible(line),
            "\u{1b}[31mWARN\u{1b}[0m a\\u{202e}b\\u{200b}\n"
        );
        assert!(!stderr(LogFormat::Text, false).visible(line).contains('\u{1b}'));
        let json = stderr(LogFormat::Json, true)
            .visible("{\"m\":\"a\u{202e}\"}\n")
            .into_owned();
        assert_eq!(json, "{\"m\":\"a\\u202e\"}\n");
    }
}
