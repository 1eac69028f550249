//! Who calls: API keys, the principals behind them, their scopes, and the tenants that the operator keeps.

mod api_key;
pub mod api_keys;
mod call_limits;
mod concurrency;
mod principal;
mod rate_limit;
mod scope;
pub mod tenants;
pub mod users;

pub use api_key::{ApiKey, ApiKeyError, PREFIX};
pub use call_limits::CallLimits;
pub use concurrency::{TenantPermit, TenantSemaphore};
pub use principal::{
    AuthError, CursorSecret, KeyRejectionReason, Principal, RejectedKey, SearchText, authenticate,
};
pub use rate_limit::{CallLimiter, CallPermit, OverLimit};
pub use scope::{Scope, Scopes, UnknownScope};
