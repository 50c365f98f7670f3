//! Answers that are read or decoded while they are sent.
//!
//! Two pieces wait at most, so a client that takes its time holds little memory and no processor; one that takes nothing
//! at all for a while is left.

use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;

use crate::positioned::ReadAt;

/// Bytes of a piece.
pub(super) const PIECE: usize = 128 << 10;
/// Pieces that wait to be sent.
const WAITING: usize = 2;
/// A client that takes no piece for so long is left. (Players stop reading while they are paused; they ask again.)
const STALL: Duration = Duration::from_secs(120);

struct Streamed {
    pieces: Receiver<io::Result<Bytes>>,
    left: u64,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.pieces.poll_recv(cx).map(|piece| match piece {
            Some(Ok(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Some(Ok(Frame::data(bytes)))
            }
            Some(Err(e)) => Some(Err(e)),
            None if self.left > 0 => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            None => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A body of `len` bytes, and where to put them.
pub(super) fn streamed(len: u64) -> (Body, Pieces) {
    let (sender, pieces) = mpsc::channel(WAITING);
    (Body::new(Streamed { pieces, left: len }), Pieces { sender, handle: Handle::current() })
}

/// The producing end of a body, for threads that may block.
pub(super) struct Pieces {
    sender: Sender<io::Result<Bytes>>,
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
        match timeout(STALL, self.sender.send(Ok(bytes))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Whether nobody listens any more.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// The bytes `from..to` of a file, read as they are sent.
pub(super) fn of_file(file: File, from: u64, to: u64) -> Body {
    let (body, pieces) = streamed(to - from);
    tokio::spawn(async move {
        let file = Arc::new(file);
        let mut at = from;
        while at < to {
            let want = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
            let file = file.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = vec![0; want];
                file.read_exact_at(&mut bytes, at).map(|()| bytes)
            });
            // A body that ends early tells the client that something is wrong.
            let Ok(Ok(bytes)) = read.await else { return };
            at += bytes.len() as u64;
            if pieces.send_async(bytes.into()).await.is_err() {
                return;
            }
        }
    });
    body
}
