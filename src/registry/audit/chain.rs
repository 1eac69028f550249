//! The chain of hashes: each entry's covers the one before it. Recomputed from the database, or from an exported file.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::ids::TenantId;

/// One entry with everything that its hash covers, as it is exported: a line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainedEntry {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its number in the tenant's log, from 1 on without a gap.
    pub seq: i64,
    /// Its id.
    pub id: Uuid,
    /// When it was written, in microseconds since 1970 in UTC.
    pub created_us: i64,
    /// `admin`, `key` or `system`.
    pub actor_kind: String,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// What else there is to know; null where no program can read it.
    pub details: Value,
    /// The same as the text that the hash covers.
    pub details_text: String,
    /// Where it was done.
    pub source: String,
    /// The hash of the entry before it, in hexadecimal; zeros for the first.
    pub prev_hash: String,
    /// Its own.
    pub hash: String,
}

/// An entry that does not follow from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainBreak {
    /// The number that it should have.
    pub at: i64,
}

/// A chain that has been recomputed up to some entry.
#[derive(Debug, Clone)]
pub struct Chain {
    tenant: TenantId,
    entries: i64,
    head: [u8; 32],
    begins_with: Option<String>,
    holds_certificate: bool,
    unreadable: Vec<i64>,
}

impl Chain {
    /// The chain of this tenant before its first entry.
    #[must_use]
    pub const fn new(tenant: TenantId) -> Self {
        Self {
            tenant,
            entries: 0,
            head: [0; 32],
            begins_with: None,
            holds_certificate: false,
            unreadable: Vec::new(),
        }
    }

    /// Whose it is.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// What the first entry tells of.
    #[must_use]
    pub fn begins_with(&self) -> Option<&str> {
        self.begins_with.as_deref()
    }

    /// Whether one of the entries is the certificate of the tenant's erasure.
    #[must_use]
    pub const fn holds_certificate(&self) -> bool {
        self.holds_certificate
    }

    /// The numbers of entries that are whole, but whose details are no JSON that a program can read.
    #[must_use]
    pub fn unreadable(&self) -> &[i64] {
        &self.unreadable
    }

    /// Entries so far.
    #[must_use]
    pub const fn entries(&self) -> i64 {
        self.entries
    }

    /// The hash of the last of them, in hexadecimal.
    #[must_use]
    pub fn head(&self) -> String {
        hex(&self.head)
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// [`ChainBreak`] where it is not the one that follows.
    pub fn follow(&mut self, link: &ChainedEntry) -> Result<(), ChainBreak> {
        let at = self.entries.saturating_add(1);
        let computed = self.hash_of(link);
        let said = read_details(&link.details_text);
        let says_the_same = said.as_ref().unwrap_or(&Value::Null) == &link.details;
        if link.tenant_id != self.tenant
            || link.seq != at
            || link.prev_hash != self.head()
            || link.hash != hex(&computed)
            || !says_the_same
        {
            return Err(ChainBreak { at });
        }
        self.head = computed;
        self.entries = at;
        self.begins_with.get_or_insert_with(|| link.action.clone());
        self.holds_certificate |= link.action == "tenant.erase";
        if said.is_none() {
            self.unreadable.push(at);
        }
        Ok(())
    }

    /// The same sum that the database's trigger makes: see `sql/migrations/0006_audit.sql`.
    fn hash_of(&self, link: &ChainedEntry) -> [u8; 32] {
        let fields = [
            self.tenant.to_string(),
            link.seq.to_string(),
            link.id.to_string(),
            link.created_us.to_string(),
            link.actor_kind.clone(),
            link.actor.clone(),
            link.action.clone(),
            link.subject.clone(),
            link.details_text.clone(),
            link.source.clone(),
        ];
        let mut sum = Sha256::new();
        sum.update(self.head);
        for field in &fields {
            sum.update(format!("{}:{field}", field.len()));
        }
        sum.finalize().into()
    }
}

/// The details of an entry. The database takes numbers that no program counts up to, and any depth; of those there is only the text.
pub(super) fn read_details(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// Recomputes an exported file, a line of JSON an entry. `None` stands for a file without any.
///
/// # Errors
/// [`ChainBreak`] at the first line that is no entry or does not follow.
pub fn check_lines(lines: &str) -> Result<Option<Chain>, ChainBreak> {
    let mut chain: Option<Chain> = None;
    for line in lines.lines() {
        let at = chain.as_ref().map_or(0, Chain::entries).saturating_add(1);
        let link: ChainedEntry = serde_json::from_str(line).map_err(|_| ChainBreak { at })?;
        chain
            .get_or_insert_with(|| Chain::new(link.tenant_id))
            .follow(&link)?;
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

    /// What the database would write: entries of one tenant, each after the other.
    fn written(count: i64) -> Vec<ChainedEntry> {
        let mut chain = Chain::new(TenantId::new());
        (1..=count)
            .map(|seq| {
                let details = json!({"number": seq});
                let mut link = ChainedEntry {
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
                    prev_hash: chain.head(),
                    hash: String::new(),
                };
                link.hash = hex(&chain.hash_of(&link));
                chain.follow(&link).unwrap();
                link
            })
            .collect()
    }

    fn lines(links: &[ChainedEntry]) -> String {
        links
            .iter()
            .map(|link| serde_json::to_string(link).unwrap() + "\n")
            .collect()
    }

    #[test]
    fn a_whole_chain_is_whole() {
        let links = written(20);
        let chain = check_lines(&lines(&links)).unwrap().unwrap();
        assert_eq!((chain.entries(), chain.head()), (20, links[19].hash.clone()));
        assert!(check_lines("").unwrap().is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_changed_is_found(at in 0_usize..20, field in 0_usize..11, other in "[a-z0-9]{1,8}") {
            let mut links = written(20);
            let link = &mut links[at];
            match field {
                0 => link.tenant_id = TenantId::new(),
                1 => link.seq += 1,
                2 => link.id = Uuid::now_v7(),
                3 => link.created_us += 1,
                4 => link.actor_kind.push_str(&other),
                5 => link.actor.push_str(&other),
                6 => link.action.push_str(&other),
                7 => link.subject.push_str(&other),
                8 => link.details = json!({"number": other}),
                9 => link.source.push_str(&other),
                _ => link.hash = "0".repeat(64),
            }
            prop_assert!(check_lines(&lines(&links)).is_err());
        }

        #[test]
        fn whatever_is_cut_from_the_middle_or_moved_is_found(from in 0_usize..18, to in 1_usize..19) {
            let mut links = written(20);
            let cut = links.remove(from);
            prop_assert_eq!(check_lines(&lines(&links)).unwrap_err().at, i64::try_from(from).unwrap() + 1);
            if to != from {
                links.insert(to, cut);
                prop_assert!(check_lines(&lines(&links)).is_err());
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = check_lines(&text);
        }
    }
}
