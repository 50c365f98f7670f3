//! Sockets: at most so many connections, headers in so much time and room.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::guard::Guard;

/// Connections at a time; further ones wait to be accepted.
pub(super) const CONNECTIONS: usize = 128;
/// How long a client may take to send a request's header, or to send the next request.
const HEADER_TIME: Duration = Duration::from_secs(10);
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
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}
