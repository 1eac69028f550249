//! The search of each tenant.
//!
//! The index is stored in segments (`search_segments`, `search_blocks`), under the same policies as all data of a tenant. A
//! transaction that changes the catalog adds a segment with the changed skills ([`index_changes`]); [`compact`] merges segments.
//! A process that searches reads the documents of all segments once, and of the postings what a query needs
//! ([`SearchCache`]).
//!
//! The caller's transaction reads the catalog's revision together with the API key. Documents of an older revision are brought up
//! to date in the same transaction before a search, so a search never misses a skill that was published before the call. Changes
//! that no segment has are indexed in memory.
//!
//! With a provider of embeddings ([`Meaning`]), skills have vectors too (`skill_embeddings`), computed in the background
//! ([`embed_after_call`]). A search then combines what words find with what is near in meaning.

mod blocks;
mod cache;
mod catalog;
mod checking;
mod compatibility;
mod duplicates;
mod embedding;
mod facets;
mod fusing;
mod indexing;
mod meaning;
mod merging;
mod segments;
mod slugs;
mod source;
mod vectors;

pub use cache::{Found, SearchCache};
pub use catalog::TenantCatalog;
pub use checking::{Checked, IndexStatus, check, status};
pub use duplicates::{NearDuplicates, TextSignature, near_duplicates};
pub use embedding::{
    Embedded, EmbeddingError, EmbeddingProgress, EmbeddingStatus, embed, embed_after_call, embedding_status,
};
pub use facets::Facets;
pub use fusing::{WORD_CANDIDATES, fused};
pub use indexing::{commit, compact, compact_after_call, index_changes, rebuild};
pub use meaning::{Meaning, WordsOnly};
