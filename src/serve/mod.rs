//! A local web page to look through an archive and listen to it.
//!
//! ```text
//! listen ─► guard ─► routes ─┬─► page     what the program has embedded
//!                            ├─► api      JSON: archive, chunks, one source, checks ◄─ store ◄─ index.sqlite
//!                            ├─► media    FLAC by byte range straight out of the TIFF, thumbnails, previews
//!                            ├─► tiles    spectrogram on demand: decoder → STFT → JPEG ◄─► cache
//!                            ├─► wav      any part of a source as WAV, decoded on the fly, by byte range
//!                            └─► download passages as FLAC, sources rebuilt byte for byte
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `listen` | sockets, limits on connections and headers |
//! | `guard` | who may ask what: host, method, length, origin, token; headers of every answer |
//! | `store` | the index read, paths resolved under the archive folder, sources that are in use |
//! | `list` | the chunks that a search finds, in order, kept for paging |
//! | `range` | RFC 9110 byte ranges, validators |
//! | `body` | answers that are read or decoded while they are sent |
//! | `answer` | refusals, JSON, names for downloads |
//!
//! Nothing is mapped: bytes are read at positions (see [`crate::positioned`]). Whatever costs processor time waits for one of
//! a few permits and ends when its client goes away.

mod answer;
mod api;
mod body;
mod cache;
mod download;
mod guard;
mod list;
mod listen;
mod media;
mod page;
mod range;
mod store;
mod tiles;
mod wav;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::error::{Error, ErrorKind, Result};
use crate::interrupt::Interrupt;
use crate::threads;
use guard::Guard;
pub use guard::{LEAST_TOKEN, Token};
use store::Store;

/// How to serve an archive.
#[derive(Debug)]
pub struct Options {
    /// The archive folder.
    pub dir: PathBuf,
    /// Its index, which has to be there.
    pub index: PathBuf,
    /// Where to listen; port 0 takes any that is free.
    pub address: SocketAddr,
    /// What who asks has to know; needed unless the address is of this machine only.
    pub token: Option<Token>,
    /// Names beside `localhost` and the address by which the server is asked for.
    pub hosts: Vec<String>,
    /// Threads for decoding; 0 for as many as the machine can run at once.
    pub workers: usize,
}

/// The address used where none is given.
pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Streams that are decoded while they are sent, at a time.
const STREAMS: usize = 64;
/// Checks, rebuilt sources and passages in work at a time.
const HEAVY: usize = 2;
/// Bytes of tiles and thumbnails in memory.
const CACHE_BYTES: usize = 16 << 20;
/// How long the end may take once it is asked for.
const FAREWELL: Duration = Duration::from_millis(400);

/// What all requests share.
struct State {
    store: Store,
    lists: list::Lists,
    pictures: cache::Cache,
    interrupt: Interrupt,
    workers: usize,
    /// Taken while samples are decoded for listening.
    decoding: Semaphore,
    /// Taken while a tile or a thumbnail is made, so that pictures leave time to what is heard.
    drawing: Semaphore,
    /// Taken as long as a decoded stream lasts.
    streams: Arc<Semaphore>,
    /// Taken as long as a check, a rebuilt source or a passage takes.
    heavy: Arc<Semaphore>,
}

type Shared = Arc<State>;

/// Serves until it is interrupted; `ready` is told the address that was bound.
///
/// # Errors
/// `Usage` for another address than one of this machine without a token; `Io` where the address cannot be bound; those of
/// opening the index; `Interrupted` in the end.
pub fn run(options: Options, interrupt: &Interrupt, ready: &dyn Fn(SocketAddr)) -> Result<()> {
    if !options.address.ip().is_loopback() && options.token.is_none() {
        let text = "others than this machine may only ask with a token: give --token, too";
        return Err(Error::new(ErrorKind::Usage, text));
    }
    let workers = threads::or_all(options.workers);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(STREAMS + 32)
        .thread_name("serve")
        .enable_io()
        .enable_time()
        .build()
        .map_err(|e| Error::io("starting the server", e))?;
    let state = Arc::new(State {
        store: Store::open(&options.dir, &options.index)?,
        lists: list::Lists::default(),
        pictures: cache::Cache::new(CACHE_BYTES),
        interrupt: interrupt.clone(),
        workers,
        decoding: Semaphore::new(workers + 1),
        drawing: Semaphore::new(workers.div_ceil(2)),
        streams: Arc::new(Semaphore::new(STREAMS)),
        heavy: Arc::new(Semaphore::new(HEAVY)),
    });
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind(options.address))
        .map_err(|e| Error::io(format!("listening at {}", options.address), e))?;
    let bound = listener.local_addr().map_err(|e| Error::io("asking for the port", e))?;
    let guard = Arc::new(Guard::new(options.token, options.hosts, bound.port()));
    runtime.spawn(listen::accept(listener, guard, routes(state)));
    ready(bound);
    while !interrupt.is_stopped() {
        std::thread::sleep(Duration::from_millis(50));
    }
    runtime.shutdown_timeout(FAREWELL);
    Err(Error::interrupted())
}

fn routes(state: Shared) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/page/{name}", get(page::asset))
        .route("/favicon.ico", get(page::icon))
        .route("/api/archive", get(api::archive))
        .route("/api/chunks", get(api::chunks))
        .route("/api/source/{id}", get(api::source))
        .route("/api/chunk/{id}/check", get(api::check))
        .route("/chunk/{id}/flac", get(media::flac))
        .route("/chunk/{id}/thumb", get(media::thumb))
        .route("/chunk/{id}/preview", get(media::preview))
        .route("/source/{id}/tile/{level}/{x}", get(tiles::tile))
        .route("/source/{id}/wav", get(wav::wav))
        .route("/source/{id}/passage", get(download::passage))
        .route("/source/{id}/original", get(download::original))
        .fallback(answer::nothing)
        .with_state(state)
}
