//! The transports: stdio, Streamable HTTP, HTTP+SSE. A transport finds the caller's API key, never the tenant.

pub mod http;
pub mod sse;
pub mod stdio;
