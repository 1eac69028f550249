//! The hash chain: each hash covers its entry and the previous hash. Recomputed from the database or from an exported file.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::ids::TenantId;

/// An audit entry with everything that its hash covers. One line of JSON in an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainedEntry {
    pub tenant_id: TenantId,
    /// Position in the tenant's log, from 1 without gaps.
    pub seq: i64,
    pub id: Uuid,
    /// Time of the insert, in microseconds since 1970 (UTC).
    pub created_us: i64,
    pub actor_kind: String,
    pub actor: String,
    pub action: String,
    pub subject: String,
    /// Parsed `details_text`; null if serde_json cannot parse it.
    pub details: Value,
    /// The JSON text that the hash covers.
    pub details_text: String,
    pub source: String,
    /// Hash of the previous entry, in hexadecimal; zeros for the first entry.
    pub prev_hash: String,
    /// Hash of this entry, in hexadecimal.
    pub hash: String,
}

/// The chain is broken: an entry does not follow from the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainBreak {
    /// The `seq` that the entry should have.
    pub at: i64,
}

/// A hash chain, recomputed up to its last appended entry.
#[derive(Debug, Clone)]
pub struct Chain {
    tenant: TenantId,
    entries: i64,
    last_hash: [u8; 32],
    first_action: Option<String>,
    has_erasure_certificate: bool,
    unreadable: Vec<i64>,
}

impl Chain {
    /// The empty chain of a tenant.
    #[must_use]
    pub const fn new(tenant: TenantId) -> Self {
        Self {
            tenant,
            entries: 0,
            last_hash: [0; 32],
            first_action: None,
            has_erasure_certificate: false,
            unreadable: Vec::new(),
        }
    }

    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Action of the first entry; `None` for an empty chain.
    #[must_use]
    pub fn first_action(&self) -> Option<&str> {
        self.first_action.as_deref()
    }

    /// Whether the chain contains the certificate of the tenant's erasure.
    #[must_use]
    pub const fn has_erasure_certificate(&self) -> bool {
        self.has_erasure_certificate
    }

    /// `seq` of the entries with a correct hash whose details serde_json cannot parse.
    #[must_use]
    pub fn unreadable(&self) -> &[i64] {
        &self.unreadable
    }

    /// Number of entries.
    #[must_use]
    pub const fn entries(&self) -> i64 {
        self.entries
    }

    /// Hash of the last entry, in hexadecimal; zeros for an empty chain.
    #[must_use]
    pub fn last_hash(&self) -> String {
        hex(&self.last_hash)
    }

    /// Verifies the next entry and appends it.
    ///
    /// # Errors
    /// [`ChainBreak`] if the entry does not follow from the last one; the chain is then unchanged.
    pub fn append(&mut self, entry: &ChainedEntry) -> Result<(), ChainBreak> {
        let at = self.entries.saturating_add(1);
        let computed = self.next_hash(entry);
        let details = parse_details(&entry.details_text);
        // The hash covers the text only, so the parsed copy beside it must be compared.
        let is_same_details = details.as_ref().unwrap_or(&Value::Null) == &entry.details;
        if entry.tenant_id != self.tenant
            || entry.seq != at
            || entry.prev_hash != self.last_hash()
            || entry.hash != hex(&computed)
            || !is_same_details
        {
            return Err(ChainBreak { at });
        }
        self.last_hash = computed;
        self.entries = at;
        self.first_action.get_or_insert_with(|| entry.action.clone());
        self.has_erasure_certificate |= entry.action == "tenant.erase";
        if details.is_none() {
            self.unreadable.push(at);
        }
        Ok(())
    }

    /// The hash that the database's trigger computes for the next entry; see the audit log in `sql/migrations`.
    fn next_hash(&self, entry: &ChainedEntry) -> [u8; 32] {
        let fields = [
            self.tenant.to_string(),
            entry.seq.to_string(),
            entry.id.to_string(),
            entry.created_us.to_string(),
            entry.actor_kind.clone(),
            entry.actor.clone(),
            entry.action.clone(),
            entry.subject.clone(),
            entry.details_text.clone(),
            entry.source.clone(),
        ];
        let mut hasher = Sha256::new();
        hasher.update(self.last_hash);
        for field in &fields {
            hasher.update(format!("{}:{field}", field.len()));
        }
        hasher.finalize().into()
    }
}

/// Parses the details of an entry. `None` for JSON that PostgreSQL accepts and serde_json does not: numbers beyond `f64` and
/// nesting deeper than 128.
pub(super) fn parse_details(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// Recomputes an export in the JSONL format. `None` for an empty file.
///
/// # Errors
/// [`ChainBreak`] at the first line that is not an entry or does not follow from the previous one.
pub fn check_lines(lines: &str) -> Result<Option<Chain>, ChainBreak> {
    let mut chain: Option<Chain> = None;
    for line in lines.lines() {
        let at = chain.as_ref().map_or(0, Chain::entries).saturating_add(1);
        let entry: ChainedEntry = serde_json::from_str(line).map_err(|_| ChainBreak { at })?;
        chain
            .get_or_insert_with(|| Chain::new(entry.tenant_id))
            .append(&entry)?;
    }
    Ok(chain)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A valid chain of one tenant, as the database would write it.
    fn chained_entries(count: i64) -> Vec<ChainedEntry> {
        let mut chain = Chain::new(TenantId::new());
        (1..=count)
            .map(|seq| {
                let details = json!({"number": seq});
                let mut entry = ChainedEntry {
                    tenant_id: chain.tenant,
                    seq,
                    id: Uuid::now_v7(),
                    created_us: 1_700_000_000_000_000 + seq,
                    actor_kind: "admin".to_owned(),
                    actor: "ada".to_owned(),
                    action: "test.done".to_owned(),
                    subject: format!("the {seq}. thing"),
                    details_text: details.to_string(),
                    details,
                    source: "test".to_owned(),
                    prev_hash: chain.last_hash(),
                    hash: String::new(),
                };
                entry.hash = hex(&chain.next_hash(&entry));
                chain.append(&entry).unwrap();
                entry
            })
            .collect()
    }

    fn lines(entries: &[ChainedEntry]) -> String {
        entries
            .iter()
            .map(|entry| serde_json::to_string(entry).unwrap() + "\n")
            .collect()
    }

    #[test]
    fn valid_chain_is_accepted() {
        let entries = chained_entries(20);
        let chain = check_lines(&lines(&entries)).unwrap().unwrap();
        assert_eq!(
            (chain.entries(), chain.last_hash()),
            (20, entries[19].hash.clone())
        );
        assert!(check_lines("").unwrap().is_none());
    }

    proptest! {
        #[test]
        fn changed_field_breaks_the_chain(at in 0_usize..20, field in 0_usize..11, other in "[a-z0-9]{1,8}") {
            let mut entries = chained_entries(20);
            let entry = &mut entries[at];
            match field {
                0 => entry.tenant_id = TenantId::new(),
                1 => entry.seq += 1,
                2 => entry.id = Uuid::now_v7(),
                3 => entry.created_us += 1,
                4 => entry.actor_kind.push_str(&other),
                5 => entry.actor.push_str(&other),
                6 => entry.action.push_str(&other),
                7 => entry.subject.push_str(&other),
                8 => entry.details = json!({"number": other}),
                9 => entry.source.push_str(&other),
                _ => entry.hash = "0".repeat(64),
            }
            prop_assert!(check_lines(&lines(&entries)).is_err());
        }

        #[test]
        fn removed_or_moved_entry_breaks_the_chain(from in 0_usize..18, to in 1_usize..19) {
            let mut entries = chained_entries(20);
            let removed = entries.remove(from);
            prop_assert_eq!(check_lines(&lines(&entries)).unwrap_err().at, i64::try_from(from).unwrap() + 1);
            if to != from {
                entries.insert(to, removed);
                prop_assert!(check_lines(&lines(&entries)).is_err());
            }
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in ".*") {
            let _ = check_lines(&text);
        }
    }
}
