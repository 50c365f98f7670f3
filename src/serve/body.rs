//! Answers that are read or decoded while they are sent.
//!
//! Two pieces wait at most, so a client that takes its time holds little memory and no processor (one that takes nothing
//! at all for a while is left: see `listen`). An answer begins with its first piece: what fails before is an error with a status of its
//! own, what fails later ends the body too early, which every client sees.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::answer::Refusal;
use crate::error::{Error, Result};
use crate::positioned::ReadAt;

/// Bytes of a piece.
pub(super) const PIECE: usize = 128 << 10;
/// Pieces that wait to be sent.
const WAITING: usize = 2;

struct Streamed {
    first: Option<Bytes>,
    pieces: Receiver<Result<Bytes>>,
    left: u64,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.pieces.poll_recv(cx),
        };
        piece.map(|piece| match piece {
            Some(Ok(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Some(Ok(Frame::data(bytes)))
            }
            Some(Err(e)) => Some(Err(io::Error::other(e))),
            None if self.left > 0 => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            None => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A body that is still to begin.
pub(super) struct Start {
    pieces: Receiver<Result<Bytes>>,
    len: u64,
}

impl Start {
    /// The body, once its first piece is there.
    ///
    /// # Errors
    /// What kept the first piece from being made.
    pub async fn body(mut self) -> std::result::Result<Body, Refusal> {
        let first = match self.pieces.recv().await {
            Some(first) => Some(first?),
            None if self.len == 0 => None,
            None => return Err(Error::io("reading", io::ErrorKind::UnexpectedEof.into()).into()),
        };
        Ok(Body::new(Streamed { first, pieces: self.pieces, left: self.len }))
    }
}

/// A body of `len` bytes, and where to put them.
pub(super) fn streamed(len: u64) -> (Start, Pieces) {
    let (sender, pieces) = mpsc::channel(WAITING);
    (Start { pieces, len }, Pieces { sender, handle: Handle::current() })
}

/// The producing end of a body, for threads that may block.
pub(super) struct Pieces {
    sender: Sender<Result<Bytes>>,
    handle: Handle,
}

impl Pieces {
    /// Hands on a piece if that can be done at once; gives it back otherwise.
    pub fn offer(&self, bytes: Bytes) -> io::Result<Option<Bytes>> {
        match self.sender.try_send(Ok(bytes)) {
            Ok(()) => Ok(None),
            Err(mpsc::error::TrySendError::Full(Ok(bytes))) => Ok(Some(bytes)),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Hands on a piece, waiting for the client.
    pub fn send(&self, bytes: Bytes) -> io::Result<()> {
        self.handle.block_on(self.send_async(bytes))
    }

    /// The same where waiting blocks nobody.
    pub async fn send_async(&self, bytes: Bytes) -> io::Result<()> {
        self.sender.send(Ok(bytes)).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Says why there is no more to come. Who waits for the first piece is told; where some are waiting to be sent, they
    /// are the last.
    pub fn fail(self, e: Error) {
        let _ = self.sender.try_send(Err(e));
    }

    /// Whether nobody listens any more.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// Stands for a body whose length is not known before it is made, in an answer to HEAD.
pub(super) fn of_unknown_length() -> Body {
    struct Unknown;
    impl HttpBody for Unknown {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            Poll::Ready(None)
        }
    }
    Body::new(Unknown)
}

/// The bytes `from..to` of a file or page, read as they are sent.
pub(super) fn of_bytes(bytes: Arc<dyn ReadAt>, from: u64, to: u64) -> Start {
    let (start, pieces) = streamed(to - from);
    tokio::spawn(async move {
        let mut at = from;
        while at < to {
            let want = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
            let bytes = bytes.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; want];
                bytes.read_exact_at(&mut piece, at).map(|()| piece)
            });
            match read.await {
                Ok(Ok(piece)) => {
                    at += piece.len() as u64;
                    if pieces.send_async(piece.into()).await.is_err() {
                        return;
                    }
                }
                Ok(Err(e)) => return pieces.fail(Error::io("reading", e)),
                Err(_) => return,
            }
        }
    });
    start
}
