//! The body of an answer, which holds its call's share of the limits until the client has read it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody as _};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use super::error_response::share_exceeded;
use crate::access::CallGuard;
use crate::tenancy::Share;

/// The body is written in pieces of this size, so that it lives until all but the last piece is in the socket.
const PIECE_BYTES: usize = 32 << 10;
/// Smaller answers are not counted as unread.
const MAX_UNCOUNTED_BYTES: u64 = 16 << 10;
/// `Retry-After` when a client has too much to read, in seconds.
const RETRY_SECONDS: u32 = 5;

/// Holds the guard until the client has read the response. An answer that exceeds what its key may leave unread is
/// replaced by an error: the call was made and recorded, and its answer is dropped.
pub(super) fn hold(response: Response, guard: Option<Arc<CallGuard>>) -> Response {
    let Some(guard) = guard else {
        return response;
    };
    let share = match response.body().size_hint().exact() {
        Some(bytes) if bytes > MAX_UNCOUNTED_BYTES => {
            match guard.take_bytes(usize::try_from(bytes).unwrap_or(usize::MAX)) {
                Ok(share) => Some(share),
                Err(exceeded) => return share_exceeded(exceeded, "bytes of unread answers", RETRY_SECONDS),
            }
        }
        Some(_) | None => None,
    };
    response.map(|inner| {
        Body::new(HeldBody {
            is_counted: inner.size_hint().exact().is_some(),
            inner,
            piece: Bytes::new(),
            share,
            guard,
        })
    })
}

/// Keeps a value until the body of the response is written or given up.
pub(super) fn keep<T: Send + Unpin + 'static>(response: Response, value: T) -> Response {
    response.map(|inner| Body::new(KeepingBody { inner, _value: value }))
}

struct KeepingBody<T> {
    inner: Body,
    _value: T,
}

impl<T: Unpin> hyper::body::Body for KeepingBody<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

struct HeldBody {
    inner: Body,
    /// The rest of the frame that is being written.
    piece: Bytes,
    /// Whether `share` is for the whole body. Otherwise for the frame.
    is_counted: bool,
    share: Option<Share>,
    guard: Arc<CallGuard>,
}

impl hyper::body::Body for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.piece.is_empty() {
            let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            };
            if !self.is_counted {
                // The frame before is written. This one is an event of a stream.
                self.share = None;
                if data.len() as u64 > MAX_UNCOUNTED_BYTES {
                    let share = self.guard.take_bytes(data.len());
                    let share = share.map_err(|_exceeded| {
                        axum::Error::new(io::Error::other("the client has too many unread answers"))
                    });
                    match share {
                        Ok(share) => self.share = Some(share),
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
            }
            self.piece = data;
        }
        let bytes = self.piece.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.piece.split_to(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, piece) = (self.inner.size_hint(), self.piece.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(piece));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(piece));
        }
        hint
    }
}
