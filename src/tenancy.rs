//! Who calls: API keys, the principals behind them, their scopes, and the tenants that the operator keeps.

mod allowance;
mod api_key;
pub mod keys;
mod meter;
mod principal;
mod quota;
mod scope;
pub mod tenants;
pub mod users;

pub use allowance::Allowance;
pub use api_key::{ApiKey, ApiKeyError, PREFIX};
pub use meter::{Admission, Meter, OverLimit};
pub use principal::{AuthError, CursorSecret, Principal, Refusal, Refused, SearchText, authenticate};
pub use quota::{Place, Quota};
pub use scope::{Scope, Scopes, UnknownScope};
