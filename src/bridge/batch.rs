//! Splits a batch of the client, which the registry gets as single messages.

use std::collections::HashSet;

use super::message::{InvalidMessage, Kind, Message, RequestId};
use crate::json_rpc::{self, must_be_sent_alone};

/// The messages of a batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What is sent to the registry, in the order of the batch.
    pub(super) messages: Vec<Message>,
    /// The ids of the requests among them.
    pub(super) requests: HashSet<RequestId>,
    /// The answers to the messages that are not sent.
    pub(super) refusals: Vec<Vec<u8>>,
}

impl Batch {
    /// `is_in_flight` says whether the client waits for the answer to another request with the id.
    ///
    /// # Errors
    /// If the text is no JSON, or has no message or too many.
    pub(super) fn read(
        text: &[u8],
        is_in_flight: impl Fn(&RequestId) -> bool,
    ) -> Result<Self, InvalidMessage> {
        let mut batch = Self::default();
        for text in json_rpc::split_batch(text)? {
            match batch.check(text, &is_in_flight) {
                Ok(message) => batch.messages.push(message),
                Err(invalid) => batch.refusals.push(invalid.response()),
            }
        }
        Ok(batch)
    }

    /// Reads one message of the batch.
    fn check(
        &mut self,
        text: &[u8],
        is_in_flight: impl Fn(&RequestId) -> bool,
    ) -> Result<Message, InvalidMessage> {
        // The registry makes this check too. Made here, it gives the answers that a client gets without the bridge.
        json_rpc::check(text)?;
        let message = Message::parse(text.to_vec())?;
        if let Kind::Request(id) = &message.kind {
            if is_in_flight(id) {
                return Err(InvalidMessage::id_in_flight());
            }
            if must_be_sent_alone(&message.method) || !self.requests.insert(id.clone()) {
                return Err(InvalidMessage::not_in_batch(id.clone()));
            }
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn id(value: &Value) -> RequestId {
        RequestId::parse(value).unwrap()
    }

    #[test]
    fn members_are_sent_as_they_were_written_or_refused() {
        let text = br#" [ {"jsonrpc": "2.0","id":1, "method":"ping"},
            {"jsonrpc":"2.0","method":"notifications/unknown"} ,
            {"jsonrpc":"2.0","id":"s","result":{}}, {"jsonrpc":"2.0","id":1,"method":"ping"}, 7, [],
            {"jsonrpc":"2.0","id":2,"method":"initialize"}, {"jsonrpc":"2.0","id":3,"method":"subscriptions/listen"},
            {"jsonrpc":"2.0","id":4,"method":"ping"}, {"jsonrpc":"2.0","id":1.5,"method":"ping"},
            {"jsonrpc":"2.0","id":"one","method":"ping","params":[1e400]} ] "#;
        let batch = Batch::read(text, |id| id.value() == 4).unwrap();
        let sent: Vec<&[u8]> = batch.messages.iter().map(|message| &message.text[..]).collect();
        let expected: [&[u8]; 3] = [
            br#"{"jsonrpc": "2.0","id":1, "method":"ping"}"#,
            br#"{"jsonrpc":"2.0","method":"notifications/unknown"}"#,
            br#"{"jsonrpc":"2.0","id":"s","result":{}}"#,
        ];
        assert_eq!(sent, expected);
        assert_eq!(batch.requests, HashSet::from([id(&json!(1))]));
        let refusals: Vec<(Value, Value)> = batch
            .refusals
            .iter()
            .map(|text| serde_json::from_slice::<Value>(text).unwrap())
            .map(|refusal| (refusal["id"].clone(), refusal["error"]["code"].clone()))
            .collect();
        let invalid = json!(-32_600);
        let expected = [
            (json!(1), invalid.clone()),
            (Value::Null, invalid.clone()),
            (Value::Null, invalid.clone()),
            (json!(2), invalid.clone()),
            (json!(3), invalid.clone()),
            // With its id, the client would take the error for the answer to the other request.
            (Value::Null, invalid.clone()),
            (Value::Null, invalid),
            (json!("one"), json!(-32_602)),
        ];
        assert_eq!(refusals, expected);
    }

    #[test]
    fn batch_that_cannot_be_split_is_refused_as_a_whole() {
        let too_long = format!("[{}]", vec!["{}"; 33].join(","));
        for (text, code) in [("[]", -32_600), (&too_long, -32_600), ("[{}", -32_700)] {
            let refusal = Batch::read(text.as_bytes(), |_| false).unwrap_err().response();
            let refusal: Value = serde_json::from_slice(&refusal).unwrap();
            assert_eq!(refusal["error"]["code"], code, "{text}: {refusal}");
            assert_eq!(refusal["id"], Value::Null, "{text}: {refusal}");
        }
    }
}
