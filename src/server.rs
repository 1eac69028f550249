//! The MCP server: the protocol handler, and the call service through which every request is run and recorded.

mod call_event;
mod client_connection;
mod client_requests;
mod completion;
mod credentials;
mod day_summaries;
mod errors;
mod event_metadata;
mod fetch;
mod handler;
mod large_calls;
mod local_calls;
mod methods;
mod notifications;
mod protocol_profile;
mod recording;
mod refusals;
mod refused_call;
mod request;
mod service;
mod subscriptions;
mod upload;

pub use completion::{Completion, ERROR_CODE_META, OUTCOME_META};
pub use credentials::CredentialSource;
pub use errors::{FORBIDDEN, OVER_LIMIT};
pub use event_metadata::{RequestMetadata, TransportKind};
pub use fetch::RefusedFetch;
pub use handler::McpHandler;
pub use large_calls::LARGE_CALLS;
pub use local_calls::local_registry_id;
pub use methods::{all as methods, is_recorded, reads_registry};
pub use protocol_profile::ProtocolProfile;
pub use refused_call::RefusedCall;
pub use request::{InvalidParams, RecordedRequest, RequestSummary};
#[cfg(feature = "test-util")]
pub use service::TestHook;
pub use service::{CallService, ServiceLimits};
pub use upload::{Upload, UploadError, UploadReply};
