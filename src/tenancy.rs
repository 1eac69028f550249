//! Tenants, users, API keys with their scopes and limits, and authentication.

mod api_key;
pub mod api_keys;
mod call_limits;
mod concurrency;
mod principal;
mod rate_limit;
mod scope;
pub mod secret_paths;
pub mod tenants;
pub mod users;

pub use api_key::{ApiKey, ApiKeyError, KeyKind, PREFIX, SECRET_PATH_PREFIX, mask_keys, split_at_prefix};
pub use call_limits::CallLimits;
pub use concurrency::{Share, ShareExceeded, ShareLimiter, ShareLimits};
pub use principal::{
    AuthError, CursorSecret, KeyRejectionReason, Principal, RejectedKey, SearchText, authenticate,
};
pub use rate_limit::{CallLimiter, CallPermit, OverLimit};
pub use scope::{Scope, Scopes, UnknownScope};
