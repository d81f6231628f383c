//! gRPC's unary calls: one message in, one message or a status out, over HTTP/2 in the clear.
//!
//! A message travels as five bytes (a flag: compressed or not; its length, big endian) and itself;
//! the outcome is the trailer `grpc-status`. Compressed messages are handed on with the name of
//! their encoding: whoever decodes the message unpacks it within its own bounds. Bounded: message
//! size, time to send it, calls at once, connections.
//! Spec: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, combinators::BoxBody};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

/// Flag and length before each message.
const HEAD_BYTES: usize = 5;

/// Longest wait for a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Between two signs of life asked of an idle connection.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// After a connection could not be accepted, so long until the next try: while descriptors are
/// short, asking again at once would only burn the processor.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

const CONTENT: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The outcomes we give, by their numbers in gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request is wrong; sending it again is useless.
    InvalidArgument = 3,
    /// Larger than a limit.
    ResourceExhausted = 8,
    /// No such method, or an encoding we do not read.
    Unimplemented = 12,
    /// A fault of ours.
    Internal = 13,
    /// Not now; the sender should come again.
    Unavailable = 14,
    /// The request took too long.
    DeadlineExceeded = 4,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How.
    pub code: Code,
    /// Why, for people.
    pub message: String,
}

impl Status {
    /// A failure.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// One method.
pub trait Unary: std::fmt::Debug + Send + Sync + 'static {
    /// `/package.Service/Method`.
    fn path(&self) -> &'static str;

    /// Encodings of messages it reads, for `grpc-accept-encoding`.
    fn encodings(&self) -> &'static [&'static str];

    /// Answers a message, compressed with `encoding` if there is one. May block.
    fn call(&self, encoding: Option<&str>, message: &[u8]) -> Result<Vec<u8>, Status>;
}

/// Bounds on what callers may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcLimits {
    /// Bytes of one message as sent. 4 MiB: gRPC's own default.
    pub message_bytes: usize,
    /// Connections at once; more wait.
    pub connections: usize,
    /// Calls of one connection at once.
    pub streams: u32,
    /// Calls answered at once, all together; each holds a message.
    pub calls: usize,
}

impl Default for GrpcLimits {
    fn default() -> Self {
        Self {
            message_bytes: 4 << 20,
            connections: 256,
            streams: 64,
            calls: 8,
        }
    }
}

/// What the connections share.
#[derive(Debug)]
struct Server {
    method: Arc<dyn Unary>,
    limits: GrpcLimits,
    calls: Semaphore,
}

type Reply = Response<BoxBody<Bytes, Infallible>>;

/// Serves one method until `shutdown` resolves; calls under way are finished.
pub async fn serve(
    listener: TcpListener,
    method: Arc<dyn Unary>,
    limits: GrpcLimits,
    shutdown: impl Future<Output = ()>,
) {
    let server = Arc::new(Server {
        method,
        limits,
        calls: Semaphore::new(limits.calls),
    });
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = tokio::sync::watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let place = places.clone().acquire_owned();
        let place = tokio::select! {
            place = place => place.expect("the places are never closed"),
            () = &mut shutdown => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, Arc::clone(&server), stopped.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            // Out of descriptors, or a connection that went before it was accepted.
            Err(error) => {
                tracing::warn!(%error, "a gRPC connection cannot be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(stopping);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    server: Arc<Server>,
    mut stopped: tokio::sync::watch::Receiver<()>,
) {
    let streams = server.limits.streams;
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .keep_alive_interval(KEEP_ALIVE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        // The sender says nothing: it is dropped when the server stops.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a gRPC connection ended");
    }
}

impl Server {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        let kind = request.headers().get(CONTENT_TYPE);
        let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if request.method() != Method::POST || !is_grpc {
            let mut reply = Response::new(Full::default().boxed());
            *reply.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return reply;
        }
        let accepted = self.method.encodings().join(",");
        let mut reply = match self.outcome(request).await {
            Ok(message) => success(&message),
            Err(status) => failure(&status),
        };
        if let Ok(accepted) = HeaderValue::try_from(accepted) {
            reply.headers_mut().insert(ACCEPT, accepted);
        }
        reply
    }

    async fn outcome(self: Arc<Self>, request: Request<Incoming>) -> Result<Vec<u8>, Status> {
        if request.uri().path() != self.method.path() {
            let what = format!("there is no method {}", request.uri().path());
            return Err(Status::new(Code::Unimplemented, what));
        }
        let (head, body) = request.into_parts();
        let _place = self.calls.acquire().await;
        let body = tokio::time::timeout(REQUEST_TIMEOUT, self.collect(body)).await;
        let late = |_elapsed| Status::new(Code::DeadlineExceeded, "the request took too long");
        let body = body.map_err(late)??;
        let encoding = encoding(&head.headers, &body, self.method.encodings())?;
        let method = Arc::clone(&self.method);
        let call = tokio::task::spawn_blocking(move || {
            method.call(encoding.as_deref(), &body[HEAD_BYTES..])
        });
        call.await
            .map_err(|error| Status::new(Code::Internal, format!("the call failed: {error}")))?
    }

    /// The whole body: exactly one message.
    async fn collect(&self, body: Incoming) -> Result<Bytes, Status> {
        let limit = self.limits.message_bytes;
        let whole = Limited::new(body, limit + HEAD_BYTES).collect().await;
        let whole = whole.map_err(|error| {
            if error.is::<LengthLimitError>() {
                let what = format!("the message is longer than {limit} bytes");
                Status::new(Code::ResourceExhausted, what)
            } else {
                Status::new(Code::Internal, format!("the request broke off: {error}"))
            }
        })?;
        let bytes = whole.to_bytes();
        let said = bytes.get(1..HEAD_BYTES).and_then(|b| b.try_into().ok());
        let said = said.map(|length| u32::from_be_bytes(length) as usize);
        if said.is_none_or(|length| length + HEAD_BYTES != bytes.len()) {
            let what = "the request does not hold exactly one message";
            return Err(Status::new(Code::InvalidArgument, what));
        }
        Ok(bytes)
    }
}

/// The encoding of the message; `None` for a plain one.
fn encoding(headers: &HeaderMap, body: &[u8], known: &[&str]) -> Result<Option<String>, Status> {
    let said = headers.get(ENCODING).and_then(|value| value.to_str().ok());
    let said = said.filter(|said| *said != "identity");
    match (body[0], said) {
        (0, _) => Ok(None),
        (1, Some(name)) if known.contains(&name) => Ok(Some(name.to_owned())),
        (1, Some(name)) => {
            let what = format!(
                "messages in {name} are not read; send {}",
                known.join(" or ")
            );
            Err(Status::new(Code::Unimplemented, what))
        }
        (1, None) => {
            let what = "the message is compressed, and grpc-encoding does not say how";
            Err(Status::new(Code::Internal, what))
        }
        _ => Err(Status::new(
            Code::InvalidArgument,
            "an unknown flag before the message",
        )),
    }
}

fn success(message: &[u8]) -> Reply {
    let mut framed = Vec::with_capacity(HEAD_BYTES + message.len());
    framed.push(0);
    let length = u32::try_from(message.len()).expect("our replies are short");
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(framed));
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut reply = Response::new(body.boxed());
    reply.headers_mut().insert(CONTENT_TYPE, CONTENT);
    reply
}

/// "Trailers only": the status stands in the headers.
fn failure(status: &Status) -> Reply {
    let mut reply = Response::new(Full::default().boxed());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, CONTENT);
    headers.insert(STATUS, HeaderValue::from(status.code as u16));
    if let Ok(text) = HeaderValue::try_from(percent_encoded(&status.message)) {
        headers.insert(MESSAGE, text);
    }
    reply
}

/// As gRPC wants its messages: printable ASCII but `%`, the rest as percent signs and hex.
fn percent_encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
