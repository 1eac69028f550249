#![doc = include_str!("../README.md")]

mod bm25;
mod document;
pub mod evaluation;
mod hit;
mod index;
mod matches;
mod postings;
mod query;
mod ranking;
mod segmentation;
mod tokenizer;

pub use document::{Document, Field};
pub use hit::{Hit, Match};
pub use index::{MAX_BODY_BYTES, MAX_FIELD_BYTES, SearchIndex};
pub use query::{MAX_QUERY_CHARS, MAX_QUERY_WORDS, Query};
