//! Reads lines of bounded length.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Its bytes, without the line feed.
    Text(Vec<u8>),
    /// The line was longer than the limit and was skipped.
    TooLong,
}

/// Reads lines. The last one needs no line feed.
pub struct LineReader<R> {
    input: BufReader<R>,
    /// The longest line, in bytes.
    limit: usize,
    partial: Vec<u8>,
    is_too_long: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// `limit` is the longest line, in bytes.
    pub fn new(input: R, limit: usize) -> Self {
        Self {
            input: BufReader::with_capacity(64 << 10, input),
            limit,
            partial: Vec::new(),
            is_too_long: false,
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
            if self.partial.len() + part.len() > self.limit {
                self.is_too_long = true;
                self.partial = Vec::new();
            } else if !self.is_too_long {
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
        if std::mem::take(&mut self.is_too_long) {
            return Some(Line::TooLong);
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
                Line::TooLong => "too long".to_owned(),
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
            ["too long", "b"]
        );
        assert_eq!(lines(b"12345\n123456\n", 5).await, ["12345", "too long"]);
    }
}
