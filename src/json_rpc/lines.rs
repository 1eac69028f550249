//! Reads lines of bounded length.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

use super::id_scanner::IdScanner;

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Its bytes, without the line feed.
    Text(Vec<u8>),
    /// The line was longer than the limit and was skipped. With the id, if it was a request.
    TooLong(Option<Value>),
}

/// Reads lines. The last one needs no line feed.
pub struct LineReader<R> {
    input: BufReader<R>,
    /// The longest line, in bytes.
    limit: usize,
    partial: Vec<u8>,
    /// Reads a line that is longer than the limit.
    too_long: Option<IdScanner>,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// `limit` is the longest line, in bytes.
    pub fn new(input: R, limit: usize) -> Self {
        Self {
            input: BufReader::with_capacity(64 << 10, input),
            limit,
            partial: Vec::new(),
            too_long: None,
        }
    }

    /// Returns the next line that is not blank; `None` at the end of the input.
    ///
    /// # Errors
    /// When the input cannot be read.
    ///
    /// # Cancel safety
    /// Dropping the future loses no input.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let chunk = self.input.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(self.finish_line());
            }
            let mut parts = chunk.splitn(2, |byte| *byte == b'\n');
            let part = parts.next().unwrap_or_default();
            let is_complete = parts.next().is_some();
            if let Some(scanner) = &mut self.too_long {
                scanner.read(part);
            } else if self.partial.len() + part.len() > self.limit {
                let scanner = self.too_long.insert(IdScanner::default());
                scanner.read(&std::mem::take(&mut self.partial));
                scanner.read(part);
            } else {
                self.partial.extend_from_slice(part);
            }
            let used = part.len() + usize::from(is_complete);
            self.input.consume(used);
            if is_complete && let Some(line) = self.finish_line() {
                return Ok(Some(line));
            }
        }
    }

    fn finish_line(&mut self) -> Option<Line> {
        let text = std::mem::take(&mut self.partial);
        if let Some(scanner) = self.too_long.take() {
            return Some(Line::TooLong(scanner.finish()));
        }
        let is_blank = text.iter().all(u8::is_ascii_whitespace);
        (!is_blank).then_some(Line::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(input: &[u8], limit: usize) -> Vec<String> {
        let mut reader = LineReader::new(input, limit);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await.unwrap() {
            lines.push(match line {
                Line::Text(text) => String::from_utf8(text).unwrap(),
                Line::TooLong(id) => format!("too long: {id:?}"),
            });
        }
        lines
    }

    #[tokio::test]
    async fn blank_lines_are_skipped_and_last_line_feed_is_optional() {
        assert_eq!(lines(b"a\n\n \r\nb\nc", 10).await, ["a", "b", "c"]);
        assert!(lines(b"", 10).await.is_empty());
    }

    #[tokio::test]
    async fn too_long_line_is_skipped_and_next_line_is_read() {
        let long = "x".repeat(200_000);
        assert_eq!(
            lines(format!("{long}\nb\n").as_bytes(), 100).await,
            ["too long: None", "b"]
        );
        assert_eq!(lines(b"12345\n123456\n", 5).await, ["12345", "too long: None"]);
        let request = format!("{{\"method\":\"{long}\",\"id\":7}}\n[]");
        assert_eq!(
            lines(request.as_bytes(), 100).await,
            ["too long: Some(Number(7))", "[]"]
        );
    }
}
