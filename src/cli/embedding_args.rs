//! The provider of embeddings of a command: an endpoint, a model in a folder, or none.

use std::path::PathBuf;
use std::sync::Arc;

use skill_embeddings::{
    Embedder, EmbeddingSettings, EndpointKey, EndpointSettings, LocalModelSettings, MAX_DIMENSIONS,
    QueryAdapter,
};

use super::api_key;
use crate::error::{CliError, CliErrorKind};
use crate::search::Meaning;

/// The environment variable that holds the key of the endpoint. Never an argument: every account of the machine sees arguments.
const KEY_VARIABLE: &str = "SKILLKEEP_EMBEDDINGS_KEY";
/// Queries that an endpoint computes at once.
const ENDPOINT_QUERIES: usize = 32;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct EmbeddingArgs {
    /// Search by meaning too, with embeddings of this endpoint
    ///
    /// An address with OpenAI's API, without /embeddings. Names, descriptions and texts of all skills are sent there, and the text of each
    /// search. A key is read from SKILLKEEP_EMBEDDINGS_KEY or --embeddings-key-file. Example: --embeddings-url
    /// http://127.0.0.1:11434/v1 --embeddings-model all-minilm --embeddings-dimensions 384
    #[arg(
        long,
        env = "SKILLKEEP_EMBEDDINGS_URL",
        value_name = "URL",
        requires = "embeddings_model",
        requires = "embeddings_dimensions"
    )]
    embeddings_url: Option<String>,
    /// Name the model at the endpoint
    #[arg(long, env = "SKILLKEEP_EMBEDDINGS_MODEL", value_name = "NAME")]
    embeddings_model: Option<String>,
    /// State how many numbers the endpoint's model returns
    #[arg(
        long,
        env = "SKILLKEEP_EMBEDDINGS_DIMENSIONS",
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u16).range(1..=MAX_DIMENSIONS as i64)
    )]
    embeddings_dimensions: Option<u16>,
    /// Read the endpoint's key from this file
    ///
    /// Default: the environment variable SKILLKEEP_EMBEDDINGS_KEY. The file must belong to you or root, and other accounts must not
    /// be able to read it.
    #[arg(long, env = "SKILLKEEP_EMBEDDINGS_KEY_FILE", value_name = "FILE")]
    embeddings_key_file: Option<PathBuf>,
    /// Allow an unencrypted connection to the endpoint
    ///
    /// Anyone on the network between can read skills, searches and the key. Without it, http is accepted on this machine only.
    #[arg(long)]
    embeddings_allow_http: bool,
    /// Search by meaning too, with the model in this folder
    ///
    /// A BERT model as sentence-transformers writes it, such as all-MiniLM-L6-v2. It is computed in this process, and nothing is
    /// sent anywhere.
    #[arg(
        long,
        env = "SKILLKEEP_EMBEDDINGS_FOLDER",
        value_name = "FOLDER",
        conflicts_with = "embeddings_url"
    )]
    embeddings_folder: Option<PathBuf>,
    /// Put this text before each search that is embedded
    ///
    /// For models that were trained with it, such as E5 and BGE: see the model's description. Default: the query prompt of the
    /// folder's config_sentence_transformers.json; nothing for an endpoint. Example: --embeddings-query-prefix "query: "
    #[arg(long, env = "SKILLKEEP_EMBEDDINGS_QUERY_PREFIX", value_name = "TEXT")]
    embeddings_query_prefix: Option<String>,
    /// Put this text before each text of a skill that is embedded
    ///
    /// As --embeddings-query-prefix, with the document prompt. Another text has all vectors computed again. Example:
    /// --embeddings-document-prefix "passage: "
    #[arg(long, env = "SKILLKEEP_EMBEDDINGS_DOCUMENT_PREFIX", value_name = "TEXT")]
    embeddings_document_prefix: Option<String>,
    /// Compute searches with this adapter of the folder's model
    ///
    /// built-in, the default: trained for all-MiniLM-L6-v2, and not used with other models. none: as the model is. Or a file that you
    /// trained: see docs/search.md. Vectors of skills stay as they are. Example: --embeddings-query-adapter none
    #[arg(
        long,
        env = "SKILLKEEP_EMBEDDINGS_QUERY_ADAPTER",
        value_name = "built-in|none|FILE",
        requires = "embeddings_folder",
        value_parser = query_adapter
    )]
    embeddings_query_adapter: Option<QueryAdapter>,
}

fn query_adapter(value: &str) -> Result<QueryAdapter, std::convert::Infallible> {
    Ok(match value {
        "built-in" => QueryAdapter::BuiltIn,
        "none" => QueryAdapter::None,
        file => QueryAdapter::File(PathBuf::from(file)),
    })
}

impl EmbeddingArgs {
    /// Sets up the provider; `None` if there is none. Reads a local model, which takes a second. Sends nothing.
    pub(super) async fn embedder(&self) -> Result<Option<Arc<dyn Embedder>>, CliError> {
        let settings = self.settings()?;
        let embedder = tokio::task::spawn_blocking(move || settings.embedder())
            .await
            .map_err(|error| CliError::new(CliErrorKind::Internal, error.to_string()))?;
        embedder.map_err(|error| usage(format!("embeddings cannot be computed: {error}")))
    }

    /// The same, for the searches of a server.
    pub(super) async fn meaning(&self) -> Result<Option<Arc<Meaning>>, CliError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // A local model uses one processor for each query.
        let queries = if self.embeddings_folder.is_some() {
            cores
        } else {
            ENDPOINT_QUERIES
        };
        let embedder = self.embedder().await?;
        Ok(embedder.map(|embedder| Arc::new(Meaning::new(embedder, queries))))
    }

    /// As [`Self::embedder`], for a command that cannot do without.
    pub(super) async fn required(&self) -> Result<Arc<dyn Embedder>, CliError> {
        self.embedder().await?.ok_or_else(|| {
            usage("no provider of embeddings is set; name one with --embeddings-url or --embeddings-folder")
        })
    }

    fn settings(&self) -> Result<EmbeddingSettings, CliError> {
        if let Some(folder) = &self.embeddings_folder {
            return Ok(EmbeddingSettings::LocalModel(LocalModelSettings {
                query_prefix: self.embeddings_query_prefix.clone(),
                document_prefix: self.embeddings_document_prefix.clone(),
                query_adapter: self.embeddings_query_adapter.clone().unwrap_or_default(),
                ..LocalModelSettings::new(folder)
            }));
        }
        let (Some(url), Some(model), Some(dimensions)) = (
            &self.embeddings_url,
            &self.embeddings_model,
            self.embeddings_dimensions,
        ) else {
            return Ok(EmbeddingSettings::None);
        };
        let mut settings = EndpointSettings::new(url, model, usize::from(dimensions));
        let key = api_key::of_service(self.embeddings_key_file.as_deref(), KEY_VARIABLE)?;
        settings.key = key.map(|key| EndpointKey::new(key.reveal()));
        settings.allow_http = self.embeddings_allow_http;
        settings.query_prefix = self.embeddings_query_prefix.clone().unwrap_or_default();
        settings.document_prefix = self.embeddings_document_prefix.clone().unwrap_or_default();
        Ok(EmbeddingSettings::Endpoint(settings))
    }
}

fn usage(message: impl Into<String>) -> CliError {
    CliError::new(CliErrorKind::Usage, message)
}
