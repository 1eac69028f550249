//! What is known of AI assistants: where each keeps its list of MCP servers, and how one entry of it is changed safely.
//!
//! Architecture invariant: this crate knows no particular server, and reads no environment variable itself.
//!
//! # Examples
//!
//! Add a server to Cursor's configuration. Comments, order and layout of the file stay:
//!
//! ```
//! use assistants::{Assistant, Endpoint, Entry, Prompt, SecretVariable, Server, config_edit, entry};
//!
//! let token = SecretVariable {
//!     name: "WEATHER_TOKEN",
//!     prompt: Prompt { id: "weather-token", description: "The token of the weather server" },
//!     value: None,
//! };
//! let server = Server {
//!     name: "weather",
//!     description: "Weather forecasts",
//!     endpoint: Endpoint::Http { url: "https://weather.example/mcp".to_owned(), token },
//! };
//!
//! let assistant: Assistant = "cursor".parse()?;
//! let text = "{\n  \"mcpServers\": {} // none yet\n}\n";
//! let entry = Entry::new(assistant, &server);
//! let edited = config_edit::upsert_entry(assistant.format(), text, assistant.section(), "weather", &entry)?;
//!
//! assert!(edited.contains("// none yet"));
//! assert!(edited.contains("Bearer ${env:WEATHER_TOKEN}"));
//! let document = config_edit::parse(assistant.format(), &edited)?;
//! let servers = entry::servers(&document, assistant.section()).unwrap();
//! assert!(entry.matches(&servers["weather"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod assistant;
pub mod config_dirs;
pub mod config_edit;
pub mod config_file;
mod config_format;
mod config_value;
pub mod entry;
mod prompt;
pub mod skill_targets;

pub use assistant::{Assistant, NextStep, Transport};
pub use config_dirs::ConfigDirs;
pub use config_file::ConfigFile;
pub use config_format::ConfigFormat;
pub use config_value::ConfigValue;
pub use entry::{Endpoint, Entry, SecretVariable, Server};
pub use prompt::Prompt;
