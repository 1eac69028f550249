//! Who calls: API keys, the principals behind them, their scopes, and the tenants that the operator keeps.

mod api_key;
pub mod keys;
mod principal;
mod quota;
mod scope;
pub mod tenants;
pub mod users;

pub use api_key::{ApiKey, ApiKeyError, PREFIX};
pub use principal::{AuthError, CursorSecret, Principal, authenticate};
pub use quota::{Place, Quota};
pub use scope::{Scope, Scopes, UnknownScope};
