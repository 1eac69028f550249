//! The file formats of assistants' configuration files.

/// The format of a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigFormat {
    /// JSON with comments and trailing commas.
    Jsonc,
    Toml,
    Yaml,
}
