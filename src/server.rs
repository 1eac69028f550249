//! The server: one service through which every call goes, and the protocol handler in front of it.

mod audit_denials;
mod client_connection;
mod completion;
mod credentials;
mod event_metadata;
mod handler;
mod notifications;
mod protocol_profile;
mod rate_limit;
mod request;
mod service;
mod subscriptions;

pub use audit_denials::{Denial, DenialRecorder, Reason};
pub use client_connection::CallGuard;
pub use completion::{Completion, Interrupted};
pub use credentials::CredentialSource;
pub use event_metadata::{RequestMetadata, TransportKind};
pub use handler::{McpHandler, is_recorded, methods};
pub use protocol_profile::ProtocolProfile;
pub use request::{RecordedRequest, RequestSummary};
pub use service::{CallService, ExecutionContext, Limits, TestHook};
