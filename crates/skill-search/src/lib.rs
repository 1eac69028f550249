#![doc = include_str!("../README.md")]

mod analysis;
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
mod term;
mod tokenizer;
mod view;
mod vocabulary;
mod words;

pub use analysis::{AnalyzedDocument, Analyzer, MAX_BODY_BYTES, MAX_FIELD_BYTES};
pub use document::{Document, Field};
pub use hit::{Hit, Match};
pub use index::SearchIndex;
pub use postings::{FieldCounts, Posting};
pub use query::{MAX_QUERY_CHARS, MAX_QUERY_WORDS, Query};
pub use ranking::search;
pub use term::TermKey;
pub use view::{DocumentEntry, IndexView};
pub use vocabulary::{InvalidVocabulary, Vocabulary};
