//! Errors: why there is no embedding, and what to do.

use std::path::PathBuf;
use std::time::Duration;

/// Why texts could not be embedded. No text and no key is in a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    #[error("{host} cannot be reached: {reason}. Check the address, and that the embedding server runs")]
    Unreachable { host: String, reason: String },
    #[error("{host} has not answered within {} s. Use a smaller batch size, or a longer time-out", .limit.as_secs_f32())]
    TimedOut { host: String, limit: Duration },
    #[error("{host} rejected the key (status {status}): check the key of the embedding endpoint")]
    KeyRejected { host: String, status: u16 },
    #[error("{host} is overloaded (status {status}) after {attempts} attempts: try again later")]
    Overloaded {
        host: String,
        status: u16,
        attempts: u32,
    },
    #[error("{host} redirects to another address (status {status}): set the endpoint's final address")]
    Redirected { host: String, status: u16 },
    #[error("{host} answered with status {status}: check the address and the name of the model")]
    Status { host: String, status: u16 },
    #[error("the answer of {host} is larger than {limit} bytes: use a smaller batch size")]
    AnswerTooLarge { host: String, limit: usize },
    #[error(
        "the answer of {host} is no list of embeddings: {reason}. Check that the address is an OpenAI-compatible API"
    )]
    BadAnswer { host: String, reason: String },
    #[error("{host} returned {returned} embeddings for {expected} texts: report it to the server's authors")]
    WrongCount {
        host: String,
        expected: usize,
        returned: usize,
    },
    #[error(
        "the model returns {returned} dimensions, and {expected} are set: set the dimensions to {returned}"
    )]
    WrongDimensions { expected: usize, returned: usize },
    #[error("the model returned an embedding that is {0}: check the model")]
    BadVector(VectorFault),
    #[error("the model's files cannot compute this text: {reason}. Check that they belong together")]
    Model { reason: String },
    #[error("the computation of embeddings was stopped, because the program ends")]
    Stopped,
}

/// Why numbers are no embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VectorFault {
    #[error("empty")]
    Empty,
    #[error("not finite (NaN or infinite)")]
    NotFinite,
    #[error("zero in all dimensions")]
    Zero,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    #[error("the endpoint's address is not a URL ({0}): use one like http://127.0.0.1:11434/v1")]
    InvalidUrl(String),
    #[error("the endpoint's address has the scheme {0}: use http or https")]
    Scheme(String),
    #[error(
        "the endpoint's address has a user name, a password, a query or a fragment, which would be logged: remove them, \
         and set the key by itself"
    )]
    UnexpectedPart,
    #[error(
        "with an http address, anyone on the network between here and {0} can read the texts and the key: use https, or \
         set allow_http on a private network"
    )]
    Unencrypted(String),
    #[error("the key has characters that an HTTP header cannot hold: check it for line feeds")]
    BadKey,
    #[error(
        "the name of the model has {0} bytes: it needs 1 to {MAX_MODEL_ID_BYTES} without control characters"
    )]
    BadModelId(usize),
    #[error("{name} is {value}: it must be from {min} to {max}")]
    OutOfRange {
        name: &'static str,
        value: usize,
        min: usize,
        max: usize,
    },
    #[error("this machine has no root certificates: install its package `ca-certificates`")]
    NoRootCertificates,
    #[error("the HTTP client cannot be set up: {0}")]
    HttpClient(String),
    #[error("{} cannot be read: {reason}", .file.display())]
    ModelFile { file: PathBuf, reason: String },
    #[error("{} is not supported: {reason}", .file.display())]
    UnsupportedModel { file: PathBuf, reason: String },
    #[error(
        "this program is built without local models: build it with the feature `local-model`, or use an endpoint"
    )]
    NoLocalModels,
}

/// Maximum length of the name of a model in bytes.
pub const MAX_MODEL_ID_BYTES: usize = 200;
