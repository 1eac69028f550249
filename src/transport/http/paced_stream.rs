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
    /// How long the client may still keep writes waiting.
    credit: Duration,
    /// Runs out while a write waits: since when, and the timer.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> PacedStream<S> {
    pub(super) const fn new(inner: S) -> Self {
        Self {
            inner,
            credit: MAX_CREDIT,
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
                        .min(MAX_CREDIT);
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

    #[tokio::test(start_paused = true)]
    async fn client_that_reads_nothing_is_closed_after_30_seconds() {
        let (server, _client) = tokio::io::duplex(PIPE);
        let started = Instant::now();
        let error = PacedStream::new(server)
            .write_all(&vec![0; 2 * PIPE])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 30);
    }

    /// Reads `bytes` each `pause`, until the connection ends.
    async fn read_slowly(mut client: tokio::io::DuplexStream, bytes: usize, pause: Duration) {
        let mut buffer = vec![0; bytes];
        while client.read_exact(&mut buffer).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_reads_a_byte_a_second_is_closed_within_a_minute() {
        let (server, client) = tokio::io::duplex(PIPE);
        let reading = tokio::spawn(read_slowly(client, 1, Duration::from_secs(1)));
        let started = Instant::now();
        let written = PacedStream::new(server).write_all(&vec![0; 4 * PIPE]).await;
        assert!(written.is_err());
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{:?}",
            started.elapsed()
        );
        reading.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn slow_client_above_the_least_rate_gets_everything() {
        let (server, client) = tokio::io::duplex(PIPE);
        let reading = tokio::spawn(read_slowly(client, 16 << 10, Duration::from_secs(1)));
        PacedStream::new(server)
            .write_all(&vec![0; 40 * PIPE])
            .await
            .unwrap();
        reading.abort();
    }
}
