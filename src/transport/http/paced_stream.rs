//! A connection whose client must read: one that reads nothing for 30 s, or less than 8 KiB a second in the long run, is
//! closed, because its answers are kept in memory until it has read them.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long the client may keep the connection waiting, in all; reading gives time back.
const MAX_CREDIT: Duration = Duration::from_secs(30);
/// Bytes for which a second is given back.
const BYTES_A_SECOND: u64 = 8 << 10;

pub(super) struct PacedStream<S> {
    inner: S,
    max_credit: Duration,
    /// How long the client may still keep writes waiting.
    credit: Duration,
    /// Runs out while a write waits: since when, and the timer.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> PacedStream<S> {
    pub(super) const fn new(inner: S) -> Self {
        Self::with_credit(inner, MAX_CREDIT)
    }

    const fn with_credit(inner: S, credit: Duration) -> Self {
        Self {
            inner,
            max_credit: credit,
            credit,
            waiting: None,
        }
    }

    /// Passes a finished write on, or waits for it as long as there is credit.
    fn pace(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match write {
            Poll::Ready(written) => {
                let waited = self.waiting.take().map(|(since, _)| since.elapsed());
                if let (Some(waited), Ok(bytes)) = (waited, &written) {
                    let bytes = u64::try_from(*bytes).unwrap_or(u64::MAX);
                    let earned = Duration::from_millis(bytes.saturating_mul(1000) / BYTES_A_SECOND);
                    self.credit = self
                        .credit
                        .saturating_sub(waited)
                        .saturating_add(earned)
                        .min(self.max_credit);
                }
                Poll::Ready(written)
            }
            Poll::Pending => {
                let (_, timer) = self
                    .waiting
                    .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(self.credit))));
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client does not read its answers",
                )))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.pace(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.pace(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PIPE: usize = 64 << 10;
    const CREDIT: Duration = Duration::from_millis(500);

    #[tokio::test]
    async fn client_that_reads_nothing_is_closed() {
        let (server, _client) = tokio::io::duplex(PIPE);
        let mut stream = PacedStream::with_credit(server, CREDIT);
        let error = stream.write_all(&vec![0; 2 * PIPE]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// Reads `bytes` each `pause`, until the connection ends.
    async fn read_slowly(mut client: tokio::io::DuplexStream, bytes: usize, pause: Duration) {
        let mut buffer = vec![0; bytes];
        while client.read_exact(&mut buffer).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    }

    #[tokio::test]
    async fn client_that_reads_single_bytes_is_closed() {
        let (server, client) = tokio::io::duplex(PIPE);
        let reading = tokio::spawn(read_slowly(client, 1, Duration::from_millis(20)));
        let mut stream = PacedStream::with_credit(server, CREDIT);
        // Without an end, the client would read for an hour.
        let written = stream.write_all(&vec![0; 4 * PIPE]).await;
        assert!(written.is_err());
        reading.abort();
    }

    #[tokio::test]
    async fn slow_client_above_the_least_rate_gets_everything() {
        let (server, client) = tokio::io::duplex(PIPE);
        let reading = tokio::spawn(read_slowly(client, 16 << 10, Duration::from_millis(50)));
        let mut stream = PacedStream::with_credit(server, CREDIT);
        stream.write_all(&vec![0; 12 * PIPE]).await.unwrap();
        reading.abort();
    }
}
