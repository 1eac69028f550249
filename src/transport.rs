//! Bytes in and out. A transport finds the caller's key, never his tenant.

pub mod http;
pub mod sse;
pub mod stdio;
