//! The prompts of a model's folder, from `config_sentence_transformers.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::config::{MAX_JSON_BYTES, parse, read_file};
use crate::error::SettingsError;
use crate::local_settings::LocalModelSettings;
use crate::prefixes::Prefixes;

const FILE: &str = "config_sentence_transformers.json";

/// Names of the prompt for documents, in the order in which sentence-transformers looks for them.
const DOCUMENT_NAMES: [&str; 3] = ["document", "passage", "corpus"];

#[derive(Default, Deserialize)]
struct PromptsFile {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    #[serde(default)]
    default_prompt_name: Option<String>,
}

/// The prefixes of the settings, and what they leave open from the folder. Nothing if there is no such file, which older
/// models lack.
pub(super) fn prefixes(settings: &LocalModelSettings) -> Result<Prefixes, SettingsError> {
    let file = PromptsFile::read(&settings.folder)?;
    let query = settings.query_prefix.as_deref();
    let document = settings.document_prefix.as_deref();
    Prefixes::new(
        query.unwrap_or_else(|| file.prompt(&["query"])),
        document.unwrap_or_else(|| file.prompt(&DOCUMENT_NAMES)),
    )
}

impl PromptsFile {
    fn read(folder: &Path) -> Result<Self, SettingsError> {
        if !folder.join(FILE).exists() {
            return Ok(Self::default());
        }
        let (file, bytes) = read_file(folder, FILE, MAX_JSON_BYTES)?;
        parse(&file, &bytes)
    }

    /// The first prompt with one of these names, or else the default one.
    fn prompt(&self, names: &[&str]) -> &str {
        let names = names.iter().copied().chain(self.default_prompt_name.as_deref());
        let mut prompts = names.filter_map(|name| self.prompts.get(name));
        prompts.next().map_or("", String::as_str)
    }
}
