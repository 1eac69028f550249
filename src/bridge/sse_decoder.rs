//! Decodes server-sent events, as far as MCP uses them (HTML Living Standard, section 9.2).
//!
//! The crate `sse-stream` is not used: it has no size limit for an event, and it treats unknown fields, fields without a
//! colon and repeated fields as errors, where the standard says to ignore or replace them.

/// The largest event, in bytes: a skill of 16 MiB in Base64 fits.
pub(super) const MAX_EVENT: usize = 64 << 20;

/// An event is larger than [`MAX_EVENT`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

#[derive(Debug, Default)]
pub(super) struct SseDecoder {
    line: Vec<u8>,
    data: Vec<u8>,
    event_type: EventType,
    is_after_carriage_return: bool,
    /// The data of the last `endpoint` event: where a client posts its messages (MCP 2024-11-05, HTTP with SSE).
    pub(super) endpoint: Option<Vec<u8>>,
}

#[derive(Debug, Default, Clone, Copy)]
enum EventType {
    #[default]
    Message,
    Endpoint,
    Other,
}

impl SseDecoder {
    /// Decodes the next bytes, and appends the data of each completed message to `messages`.
    pub(super) fn feed(&mut self, bytes: &[u8], messages: &mut Vec<Vec<u8>>) -> Result<(), TooLong> {
        for &byte in bytes {
            let is_second_of_crlf = byte == b'\n' && self.is_after_carriage_return;
            self.is_after_carriage_return = byte == b'\r';
            match byte {
                b'\n' if is_second_of_crlf => {}
                b'\n' | b'\r' => self.end_line(messages),
                _ if self.line.len() + self.data.len() >= MAX_EVENT => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, messages: &mut Vec<Vec<u8>>) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            match std::mem::take(&mut self.event_type) {
                // An event without data only sets an id to resume from, which a registry without sessions does not support.
                EventType::Message if !data.is_empty() => messages.push(data),
                EventType::Endpoint => self.endpoint = Some(data),
                EventType::Message | EventType::Other => {}
            }
            return;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let field = parts.next().unwrap_or_default();
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if field == b"data" {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
        } else if field == b"event" {
            self.event_type = match value {
                b"message" => EventType::Message,
                b"endpoint" => EventType::Endpoint,
                _ => EventType::Other,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8], chunk_size: usize) -> Vec<String> {
        let mut decoder = SseDecoder::default();
        let mut messages = Vec::new();
        for chunk in bytes.chunks(chunk_size) {
            decoder.feed(chunk, &mut messages).unwrap();
        }
        messages
            .into_iter()
            .map(|data| String::from_utf8(data).unwrap())
            .collect()
    }

    #[test]
    fn events_are_decoded_with_any_line_end_and_any_chunk_size() {
        let text = "\u{feff}: keep-alive\n\nid: 1\nretry: 5\ndata:\n\nevent: message\ndata: {\"a\":\ndata: 1}\n\n\
                    event: ping\ndata: x\n\ndata:{}\n\ndata: half";
        for line_end in ["\n", "\r", "\r\n"] {
            let text = text.replace('\n', line_end);
            for chunk_size in 1..text.len() {
                assert_eq!(
                    decode(text.as_bytes(), chunk_size),
                    ["{\"a\":\n1}", "{}"],
                    "{line_end:?} {chunk_size}"
                );
            }
        }
    }

    #[test]
    fn endpoint_event_is_kept_apart_from_messages() {
        let mut decoder = SseDecoder::default();
        let mut messages = Vec::new();
        let text = b"event: endpoint\ndata: /messages?sessionId=1\n\ndata: {}\n\n";
        decoder.feed(text, &mut messages).unwrap();
        assert_eq!(
            decoder.endpoint.as_deref(),
            Some("/messages?sessionId=1".as_bytes())
        );
        assert_eq!(messages, [b"{}".to_vec()]);
    }

    #[test]
    fn endless_event_is_rejected_at_the_size_limit() {
        let mut decoder = SseDecoder::default();
        let mut messages = Vec::new();
        decoder.feed(b"data: ", &mut messages).unwrap();
        let chunk = vec![b'x'; 1 << 20];
        let fed = (0..100).find(|_| decoder.feed(&chunk, &mut messages).is_err());
        assert_eq!(fed, Some(63));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let mut messages = Vec::new();
            let _ = SseDecoder::default().feed(&bytes, &mut messages);
        }
    }
}
