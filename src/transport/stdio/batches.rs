//! The batches of a connection in protocol version 2025-03-26: which of their requests have no answer yet.

use std::collections::HashSet;

use rmcp::model::RequestId;

/// Batches that may wait for their answers.
const MAX_OPEN: usize = 8;

struct Batch {
    /// The requests without an answer.
    pending: HashSet<RequestId>,
    /// The answers so far, as JSON.
    answers: Vec<Vec<u8>>,
}

impl Batch {
    /// The answers as one array.
    fn array(self) -> Vec<u8> {
        [&b"["[..], &self.answers.join(&b','), b"]"].concat()
    }
}

/// The open batches of a connection.
#[derive(Default)]
pub(super) struct Batches(Vec<Batch>);

impl Batches {
    /// Whether a further batch would be too much.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_OPEN
    }

    /// Opens a batch of these requests, with the answers to the messages that were refused. Returns the whole answer if there is
    /// nothing to wait for; an empty one if the batch has no request.
    pub(super) fn open(&mut self, pending: HashSet<RequestId>, answers: Vec<Vec<u8>>) -> Option<Vec<u8>> {
        let batch = Batch { pending, answers };
        if !batch.pending.is_empty() {
            self.0.push(batch);
            return None;
        }
        (!batch.answers.is_empty()).then(|| batch.array())
    }

    /// Whether a request with this id is in an open batch.
    pub(super) fn contains(&self, id: &RequestId) -> bool {
        self.0.iter().any(|batch| batch.pending.contains(id))
    }

    /// Adds an answer. Returns the whole answer of the batch if it was the last.
    pub(super) fn answer(&mut self, id: &RequestId, answer: Vec<u8>) -> Option<Vec<u8>> {
        self.finish(id, Some(answer))
    }

    /// The client cancelled the request, so it gets no answer.
    pub(super) fn cancel(&mut self, id: &RequestId) -> Option<Vec<u8>> {
        self.finish(id, None)
    }

    fn finish(&mut self, id: &RequestId, answer: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let position = self.0.iter().position(|batch| batch.pending.contains(id))?;
        let batch = self.0.get_mut(position)?;
        batch.pending.remove(id);
        batch.answers.extend(answer);
        if !batch.pending.is_empty() {
            return None;
        }
        let batch = self.0.swap_remove(position);
        (!batch.answers.is_empty()).then(|| batch.array())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[i64]) -> HashSet<RequestId> {
        numbers.iter().map(|number| RequestId::Number(*number)).collect()
    }

    #[test]
    fn batch_is_answered_when_its_last_request_is() {
        let mut batches = Batches::default();
        assert_eq!(batches.open(ids(&[1, 2]), vec![b"0".to_vec()]), None);
        assert_eq!(batches.open(ids(&[3]), Vec::new()), None);
        assert_eq!(batches.answer(&RequestId::Number(2), b"22".to_vec()), None);
        assert!(!batches.contains(&RequestId::Number(2)));
        assert_eq!(
            batches.answer(&RequestId::Number(3), b"3".to_vec()),
            Some(b"[3]".to_vec())
        );
        let last = batches.answer(&RequestId::Number(1), b"1".to_vec());
        assert_eq!(last, Some(b"[0,22,1]".to_vec()));
        assert_eq!(batches.answer(&RequestId::Number(1), b"1".to_vec()), None);
    }

    #[test]
    fn cancelled_requests_have_no_answer() {
        let mut batches = Batches::default();
        assert_eq!(batches.open(ids(&[1, 2]), Vec::new()), None);
        assert_eq!(batches.cancel(&RequestId::Number(9)), None);
        assert_eq!(batches.answer(&RequestId::Number(1), b"1".to_vec()), None);
        assert_eq!(batches.cancel(&RequestId::Number(2)), Some(b"[1]".to_vec()));
        assert_eq!(batches.open(ids(&[4]), Vec::new()), None);
        assert_eq!(batches.cancel(&RequestId::Number(4)), None);
        assert!(batches.0.is_empty());
    }

    #[test]
    fn batch_without_requests_is_answered_at_once() {
        let mut batches = Batches::default();
        assert_eq!(batches.open(ids(&[]), Vec::new()), None);
        let refused = batches.open(ids(&[]), vec![b"1".to_vec(), b"2".to_vec()]);
        assert_eq!(refused, Some(b"[1,2]".to_vec()));
    }

    #[test]
    fn number_of_open_batches_is_bounded() {
        let mut batches = Batches::default();
        for id in 0..8 {
            assert!(!batches.is_full());
            assert_eq!(batches.open(ids(&[id]), Vec::new()), None);
        }
        assert!(batches.is_full());
    }
}
