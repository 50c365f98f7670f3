//! Sockets: at most so many connections, headers in so much time and room, and nobody waited for that takes nothing.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};

use super::guard::Guard;

/// Connections at a time; further ones wait to be accepted.
pub(super) const CONNECTIONS: usize = 128;
/// How long a client may take to send a request's header, or to send the next request.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// A client that takes nothing of its answer for so long is left. (Players stop reading while they are paused; they ask again.)
const STALL: Duration = Duration::from_secs(120);
/// Bytes of a request's header.
const HEADER_BYTES: usize = 16 << 10;
/// Lines of a request's header.
const HEADERS: usize = 64;

/// Takes connections until the runtime ends.
pub(super) async fn accept(listener: TcpListener, guard: Arc<Guard>, routes: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let routes = TowerToHyperService::new(routes);
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of file descriptors, say: others may become free.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(local) = stream.local_addr() else { continue };
        // Small answers go out at once.
        let _ = stream.set_nodelay(true);
        let (guard, routes) = (guard.clone(), routes.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (guard, routes) = (guard.clone(), routes.clone());
            async move {
                let mut answer = match guard.admit(&request, local.ip()) {
                    Ok(()) => routes.call(request.map(Body::new)).await?,
                    Err(refusal) => *refusal,
                };
                Guard::finish(answer.headers_mut());
                Ok::<_, Infallible>(answer)
            }
        });
        tokio::spawn(async move {
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
            server.max_headers(HEADERS).max_buf_size(HEADER_BYTES);
            // A connection that breaks off concerns nobody else.
            let _ = server.serve_connection(TokioIo::new(Patient::new(stream, STALL)), service).await;
            drop(place);
        });
    }
}

/// A socket that is closed to whoever takes nothing for a while: connections are few, and nobody may keep one for nothing.
struct Patient {
    stream: TcpStream,
    patience: Duration,
    until: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Patient {
    fn new(stream: TcpStream, patience: Duration) -> Patient {
        Patient { stream, patience, until: Box::pin(tokio::time::sleep(patience)), waiting: false }
    }

    /// What came of trying to write, or an error where that has been in vain for too long.
    fn tried<T>(&mut self, cx: &mut Context<'_>, tried: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if tried.is_ready() {
            self.waiting = false;
            return tried;
        }
        if !self.waiting {
            self.waiting = true;
            self.until.as_mut().reset(Instant::now() + self.patience);
        }
        self.until.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.tried(cx, tried)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.tried(cx, tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_flush(cx);
        self.tried(cx, tried)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn who_takes_nothing_is_left_and_who_takes_something_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let bytes = vec![7; 1 << 20];
            for takes in [true, false] {
                let client = std::net::TcpStream::connect(address).unwrap();
                let mut reading = client.try_clone().unwrap();
                let mut server = Patient::new(listener.accept().await.unwrap().0, Duration::from_millis(300));
                let reader = takes.then(|| {
                    std::thread::spawn(move || {
                        let mut piece = vec![0; 1 << 20];
                        while reading.read(&mut piece).is_ok_and(|n| n > 0) {}
                    })
                });
                let mut sent = 0;
                let end = loop {
                    match std::future::poll_fn(|cx| Pin::new(&mut server).poll_write(cx, &bytes)).await {
                        Ok(n) => sent += n,
                        Err(e) => break Some(e.kind()),
                    }
                    if sent > 64 << 20 {
                        break None;
                    }
                };
                assert_eq!(end, (!takes).then_some(io::ErrorKind::TimedOut));
                drop((server, client));
                if let Some(reader) = reader {
                    reader.join().unwrap();
                }
            }
        });
    }
}
