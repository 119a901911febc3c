//! Accepts connections, and ends them without cutting an exchange off.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
    sync::Semaphore,
    time::{Instant, Sleep, sleep},
};
use tracing::{debug, info, warn};

use crate::{
    BoxError,
    options::{Http, Options},
};

/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(30);
/// How long nothing can be accepted before it is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `service` on `listener` until `ended` is ready; then as `options` say. `is_ready` turns false at once.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    options: &Options,
    is_ready: &AtomicBool,
    ended: impl Future<Output = ()>,
) where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = BoxError>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let server = server(options.http);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(options.connections));
    let mut ended = std::pin::pin!(async {
        ended.await;
        is_ready.store(false, Ordering::Relaxed);
        sleep(options.drain).await;
    });
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, connection) = tokio::select! {
            (place, accepted) = accepted => match accepted {
                Ok((connection, _)) => (place, connection),
                // Too many open files, or a client that has left.
                Err(error) => {
                    warn!(%error, "a connection cannot be accepted");
                    sleep(PAUSE).await;
                    continue;
                }
            },
            () = &mut ended => break,
        };
        let _ = connection.set_nodelay(true);
        let connection = TokioIo::new(Lingering::new(connection));
        let connection = server.serve_connection(connection, service.clone());
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(error, "a connection broke off");
            }
            drop(place);
        });
    }
    drop(listener);
    let open = options.connections - places.available_permits();
    info!(open, grace = ?options.grace, "ending: no connection is accepted any more");
    if tokio::time::timeout(options.grace, graceful.shutdown())
        .await
        .is_err()
    {
        let open = options.connections - places.available_permits();
        warn!(open, "exchanges are cut off: they took longer than --grace");
    }
}

fn server(http: Http) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    server.http2().timer(TokioTimer::new());
    match http {
        Http::Either => server,
        Http::One => server.http1_only(),
        Http::Two => server.http2_only(),
    }
}

/// A connection that is not closed under a client that still sends.
///
/// What is closed while bytes arrive is reset, and a client that is reset loses the answer that it has not read yet, such as the
/// 413 that says that its body is too large. So the end is sent, and what comes meanwhile is read and forgotten, for a while.
pub(crate) struct Lingering<T> {
    connection: T,
    /// Once the end was sent: until when it lingers at most, and how long it waits for more.
    lingering: Option<(Instant, Pin<Box<Sleep>>)>,
    has_ended: bool,
}

/// The longest that a connection lingers.
const LINGER: Duration = Duration::from_secs(30);
/// The longest without a byte.
const SILENCE: Duration = Duration::from_secs(2);

impl<T> Lingering<T> {
    pub(crate) fn new(connection: T) -> Self {
        Self {
            connection,
            lingering: None,
            has_ended: false,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lingering<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.connection).poll_read(context, buffer);
        if matches!(read, Poll::Ready(Ok(())))
            && buffer.filled().len() == before
            && buffer.remaining() > 0
        {
            self.has_ended = true;
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        /// How often it reads before others have their turn.
        const READS: usize = 16;
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.connection).poll_shutdown(context))?;
        }
        if this.has_ended {
            return Poll::Ready(Ok(()));
        }
        let (until, silence) = this
            .lingering
            .get_or_insert_with(|| (Instant::now() + LINGER, Box::pin(sleep(SILENCE))));
        for _ in 0..READS {
            let mut space = [0; 16 << 10];
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut this.connection).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let next = Instant::now() + SILENCE;
                    silence.as_mut().reset(next.min(*until));
                }
                Poll::Ready(_) => {
                    this.has_ended = true;
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return silence.as_mut().poll(context).map(Ok),
            }
        }
        if Instant::now() >= *until {
            return Poll::Ready(Ok(()));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Listens at the address of `options`.
///
/// # Errors
///
/// Where the address cannot be had.
pub(crate) async fn listen(options: &Options) -> Result<TcpListener, BoxError> {
    let listener = TcpListener::bind(options.listen).await;
    listener.map_err(|error| format!("--listen: {} cannot be had: {error}", options.listen).into())
}

/// Ready once the process is told to end; a second time, it ends on the spot.
pub(crate) async fn told_to_end() {
    signal().await;
    tokio::spawn(async {
        signal().await;
        warn!("ending on the spot");
        std::process::exit(1);
    });
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}
