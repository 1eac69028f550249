#![doc = include_str!("../README.md")]

mod error;
mod key;
mod public_key;
mod signature;
mod statement;

pub use error::SignatureError;
pub use key::SigningKey;
pub use public_key::{KeyId, PublicKey};
pub use signature::{Signature, sign, verify};
pub use statement::Statement;
