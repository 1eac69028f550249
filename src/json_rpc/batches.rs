//! The batches of a connection over stdio: which of their requests have no answer yet.

use std::collections::HashSet;
use std::hash::Hash;

use super::{INVALID_REQUEST, Malformed};

/// The only protocol version with batches.
pub const BATCH_VERSION: &str = "2025-03-26";
/// Batches that may wait for their answers.
const MAX_OPEN: usize = 8;
const NOT_SUPPORTED: &str = "Batches are not supported: the protocol has them in version 2025-03-26 only. Send one message on each line.";
const TOO_MANY: &str = "Too many batches wait for their answers. Wait for one of them.";
/// Why a request of a batch is refused, see [`must_be_sent_alone`] and [`Batches::open`].
pub const NOT_IN_BATCH: &str =
    "This request cannot be a part of the batch: its id occurs twice, or its method must be sent alone.";

/// Whether requests of this method cannot be in a batch.
#[must_use]
pub fn must_be_sent_alone(method: &str) -> bool {
    matches!(method, "initialize" | "subscriptions/listen")
}

struct Batch<Id> {
    /// The requests without an answer.
    pending: HashSet<Id>,
    /// The answers so far, as JSON.
    answers: Vec<Vec<u8>>,
}

impl<Id> Batch<Id> {
    /// The answers as one array.
    fn array(self) -> Vec<u8> {
        [&b"["[..], &self.answers.join(&b','), b"]"].concat()
    }
}

/// The open batches of a connection, and whether it has batches at all. `Id` is the id of a request.
pub struct Batches<Id> {
    is_supported: bool,
    open: Vec<Batch<Id>>,
}

impl<Id> Default for Batches<Id> {
    fn default() -> Self {
        Self {
            is_supported: false,
            open: Vec::new(),
        }
    }
}

impl<Id: Eq + Hash> Batches<Id> {
    /// Sets the protocol version that `initialize` negotiated. Before, batches are not supported.
    pub fn set_version(&mut self, version: &str) {
        self.is_supported = version == BATCH_VERSION;
    }

    /// Checks whether a further batch can be opened.
    ///
    /// # Errors
    /// [`Malformed`] if the protocol version has no batches, or 8 are open.
    pub fn admit(&self) -> Result<(), Malformed> {
        let refused = |message| Err(Malformed::new(INVALID_REQUEST, message));
        if !self.is_supported {
            refused(NOT_SUPPORTED)
        } else if self.open.len() >= MAX_OPEN {
            refused(TOO_MANY)
        } else {
            Ok(())
        }
    }

    /// Opens a batch of these requests, with the answers to the messages that were refused. Returns the whole answer if there is
    /// nothing to wait for. A batch of notifications has none.
    pub fn open(&mut self, pending: HashSet<Id>, answers: Vec<Vec<u8>>) -> Option<Vec<u8>> {
        let batch = Batch { pending, answers };
        if !batch.pending.is_empty() {
            self.open.push(batch);
            return None;
        }
        (!batch.answers.is_empty()).then(|| batch.array())
    }

    /// Whether a request with this id is in an open batch.
    pub fn contains(&self, id: &Id) -> bool {
        self.open.iter().any(|batch| batch.pending.contains(id))
    }

    /// Adds an answer. Returns the whole answer of the batch if it was the last.
    pub fn answer(&mut self, id: &Id, answer: Vec<u8>) -> Option<Vec<u8>> {
        self.finish(id, Some(answer))
    }

    /// The client cancelled the request, so it gets no answer.
    pub fn cancel(&mut self, id: &Id) -> Option<Vec<u8>> {
        self.finish(id, None)
    }

    fn finish(&mut self, id: &Id, answer: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let position = self.open.iter().position(|batch| batch.pending.contains(id))?;
        let batch = self.open.get_mut(position)?;
        batch.pending.remove(id);
        batch.answers.extend(answer);
        if !batch.pending.is_empty() {
            return None;
        }
        let batch = self.open.swap_remove(position);
        (!batch.answers.is_empty()).then(|| batch.array())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[i64]) -> HashSet<i64> {
        numbers.iter().copied().collect()
    }

    #[test]
    fn batch_is_answered_when_its_last_request_is() {
        let mut batches = Batches::default();
        assert_eq!(batches.open(ids(&[1, 2]), vec![b"0".to_vec()]), None);
        assert_eq!(batches.open(ids(&[3]), Vec::new()), None);
        assert_eq!(batches.answer(&2, b"22".to_vec()), None);
        assert!(!batches.contains(&2));
        assert_eq!(batches.answer(&3, b"3".to_vec()), Some(b"[3]".to_vec()));
        let last = batches.answer(&1, b"1".to_vec());
        assert_eq!(last, Some(b"[0,22,1]".to_vec()));
        assert_eq!(batches.answer(&1, b"1".to_vec()), None);
    }

    #[test]
    fn cancelled_requests_have_no_answer() {
        let mut batches = Batches::default();
        assert_eq!(batches.open(ids(&[1, 2]), Vec::new()), None);
        assert_eq!(batches.cancel(&9), None);
        assert_eq!(batches.answer(&1, b"1".to_vec()), None);
        assert_eq!(batches.cancel(&2), Some(b"[1]".to_vec()));
        assert_eq!(batches.open(ids(&[4]), Vec::new()), None);
        assert_eq!(batches.cancel(&4), None);
        assert!(batches.open.is_empty());
    }

    #[test]
    fn batch_without_requests_is_answered_at_once() {
        let mut batches = Batches::default();
        assert_eq!(batches.open(ids(&[]), Vec::new()), None);
        let refused = batches.open(ids(&[]), vec![b"1".to_vec(), b"2".to_vec()]);
        assert_eq!(refused, Some(b"[1,2]".to_vec()));
    }

    #[test]
    fn only_one_version_has_batches_and_eight_can_be_open() {
        let mut batches = Batches::default();
        let refusal = |batches: &Batches<i64>| batches.admit().map_err(|refused| refused.message);
        assert_eq!(refusal(&batches), Err(NOT_SUPPORTED));
        for (version, expected) in [
            ("2024-11-05", Err(NOT_SUPPORTED)),
            ("2025-03-26", Ok(())),
            ("2025-06-18", Err(NOT_SUPPORTED)),
            ("2025-03-26", Ok(())),
        ] {
            batches.set_version(version);
            assert_eq!(refusal(&batches), expected, "{version}");
        }
        for id in 0..8 {
            assert_eq!(refusal(&batches), Ok(()));
            assert_eq!(batches.open(ids(&[id]), Vec::new()), None);
        }
        assert_eq!(refusal(&batches), Err(TOO_MANY));
        assert_eq!(batches.answer(&5, b"5".to_vec()), Some(b"[5]".to_vec()));
        assert_eq!(refusal(&batches), Ok(()));
    }
}
