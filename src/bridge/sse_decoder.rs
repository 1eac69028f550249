//! Server-sent events, as far as MCP uses them (HTML Living Standard, section 9.2).

/// The longest event that is read, in bytes: a skill of 16 MiB in Base64 fits, with room.
pub(super) const MAX_EVENT: usize = 64 << 20;

/// More data than an event may have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Makes events of bytes that come in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct SseDecoder {
    line: Vec<u8>,
    data: Vec<u8>,
    is_other: bool,
    is_after_return: bool,
}

impl SseDecoder {
    /// Takes the next bytes; the data of each message that they complete is added to `messages`.
    pub(super) fn feed(&mut self, bytes: &[u8], messages: &mut Vec<Vec<u8>>) -> Result<(), TooLong> {
        for &byte in bytes {
            let is_second_of_two = byte == b'\n' && self.is_after_return;
            self.is_after_return = byte == b'\r';
            match byte {
                b'\n' if is_second_of_two => {}
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
            let is_other = std::mem::take(&mut self.is_other);
            // An event without data only sets an id to resume from, which a registry without sessions has no use for.
            if !is_other && !data.is_empty() {
                messages.push(data);
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
            self.is_other = value != b"message";
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], piece: usize) -> Vec<String> {
        let mut reader = SseDecoder::default();
        let mut messages = Vec::new();
        for piece in bytes.chunks(piece) {
            reader.feed(piece, &mut messages).unwrap();
        }
        messages
            .into_iter()
            .map(|data| String::from_utf8(data).unwrap())
            .collect()
    }

    #[test]
    fn events_are_read_with_each_line_end_and_in_pieces_of_each_size() {
        let text = "\u{feff}: keep-alive\n\nid: 1\nretry: 5\ndata:\n\nevent: message\ndata: {\"a\":\ndata: 1}\n\n\
                    event: ping\ndata: x\n\ndata:{}\n\ndata: half";
        for line_end in ["\n", "\r", "\r\n"] {
            let text = text.replace('\n', line_end);
            for piece in 1..text.len() {
                assert_eq!(
                    read(text.as_bytes(), piece),
                    ["{\"a\":\n1}", "{}"],
                    "{line_end:?} {piece}"
                );
            }
        }
    }

    #[test]
    fn an_event_without_end_is_refused_before_it_fills_the_memory() {
        let mut reader = SseDecoder::default();
        let mut messages = Vec::new();
        reader.feed(b"data: ", &mut messages).unwrap();
        let piece = vec![b'x'; 1 << 20];
        let fed = (0..100).find(|_| reader.feed(&piece, &mut messages).is_err());
        assert_eq!(fed, Some(63));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let mut messages = Vec::new();
            let _ = SseDecoder::default().feed(&bytes, &mut messages);
        }
    }
}
