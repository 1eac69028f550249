#![doc = include_str!("../README.md")]

mod analysis;
mod bm25;
mod distance;
mod document;
pub mod evaluation;
mod evidence;
mod expansion;
mod hit;
mod index;
mod language;
mod names;
mod postings;
mod query;
mod ranking;
mod second_stage;
mod segmentation;
mod stop_words;
mod term;
mod tokenizer;
mod traditional;
mod view;
mod vocabulary;
mod weights;
mod words;

pub use analysis::{AnalyzedDocument, Analyzer, MAX_BODY_BYTES, MAX_FIELD_BYTES};
pub use document::{Document, Field};
pub use hit::{Correction, Hit, Match};
pub use index::SearchIndex;
pub use postings::{FieldCounts, Posting};
pub use query::{MAX_QUERY_CHARS, MAX_QUERY_WORDS, Query};
pub use ranking::{search, search_with, second_stage_features};
pub use second_stage::{FEATURES, Features};
pub use term::TermKey;
pub use view::{DocumentEntry, IndexView};
pub use vocabulary::{InvalidVocabulary, SimilarWord, Vocabulary};
pub use weights::Weights;
