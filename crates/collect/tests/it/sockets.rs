//! Doors that are sockets: gRPC against hyper's own client, StatsD over real datagrams.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use collect::{
    Collector, Config, StatsdConfig, StatsdSocket,
    grpc::{Code, GrpcLimits, Status, Unary, serve},
    receive::{Limits, statsd::StatsdLimits},
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::Value;
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket, UnixDatagram},
    sync::{mpsc, oneshot},
};

use crate::clock::TestClock;

/// Sends back what it got, behind the name of its encoding; fails at "no".
#[derive(Debug)]
struct Echo;

impl Unary for Echo {
    fn path(&self) -> &'static str {
        "/test.Echo/Say"
    }

    fn encodings(&self) -> &'static [&'static str] {
        &["gzip"]
    }

    fn call(&self, encoding: Option<&str>, message: &[u8]) -> Result<Vec<u8>, Status> {
        if message == b"no" {
            return Err(Status::new(Code::Unavailable, "not now: 100 %\n"));
        }
        Ok([encoding.unwrap_or("plain").as_bytes(), b":", message].concat())
    }
}

async fn echo() -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let limits = GrpcLimits {
        message_bytes: 100,
        ..GrpcLimits::default()
    };
    tokio::spawn(serve(listener, Arc::new(Echo), limits, async {
        drop(stopped.await);
    }));
    (address, stop)
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flag], &length.to_be_bytes()[..], message].concat()
}

/// `grpc-status`, `grpc-message` and the body of the answer.
async fn call(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (String, String, Vec<u8>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let (head, body) = response.into_parts();
    let whole = body.collect().await.unwrap();
    let trailers = whole.trailers().cloned().unwrap_or_default();
    let said = |name: &str| {
        let value = trailers.get(name).or_else(|| head.headers.get(name));
        value
            .map(|v| v.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let status = if head.status == 200 {
        said("grpc-status")
    } else {
        head.status.to_string()
    };
    (status, said("grpc-message"), whole.to_bytes().to_vec())
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test]
async fn a_call_is_answered_and_every_bad_one_has_its_status() {
    let (address, stop) = echo().await;
    let path = "/test.Echo/Say";
    let (status, _, body) = call(address, path, &[GRPC], framed(0, b"hello")).await;
    assert_eq!((status.as_str(), body), ("0", framed(0, b"plain:hello")));
    let gzip = [GRPC, ("grpc-encoding", "gzip")];
    let (status, _, body) = call(address, path, &gzip, framed(1, b"zipped")).await;
    assert_eq!((status.as_str(), body), ("0", framed(0, b"gzip:zipped")));
    let (status, message, _) = call(address, path, &[GRPC], framed(0, b"no")).await;
    assert_eq!(
        (status.as_str(), message.as_str()),
        ("14", "not now: 100 %25%0A")
    );
    let lz4 = [GRPC, ("grpc-encoding", "lz4")];
    let mut two = framed(0, b"a");
    two.extend(framed(0, b"b"));
    for (path, headers, body, expected) in [
        ("/test.Echo/Other", &[GRPC][..], framed(0, b""), "12"),
        (path, &lz4[..], framed(1, b"x"), "12"),
        (path, &[GRPC][..], framed(1, b"x"), "13"),
        (path, &[GRPC][..], framed(7, b"x"), "3"),
        (path, &[GRPC][..], framed(0, &[0; 101]), "8"),
        (path, &[GRPC][..], Vec::new(), "3"),
        (path, &[GRPC][..], framed(0, b"cut")[..6].to_vec(), "3"),
        (path, &[GRPC][..], two, "3"),
        (
            path,
            &[("content-type", "text/plain")][..],
            framed(0, b"x"),
            "415 Unsupported Media Type",
        ),
    ] {
        let (status, ..) = call(address, path, headers, body).await;
        assert_eq!(status, expected, "{path} {headers:?}");
    }
    drop(stop);
}

#[tokio::test]
async fn bytes_that_are_no_http_2_end_their_connection_only() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (address, stop) = echo().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    // Closed, or reset: an end either way.
    drop(stream.read_to_end(&mut rest).await);
    let (status, ..) = call(address, "/test.Echo/Say", &[GRPC], framed(0, b"x")).await;
    assert_eq!(status, "0");
    drop(stop);
}

#[tokio::test]
async fn datagrams_of_both_sockets_are_aggregated_and_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("statsd");
    // Left behind by an earlier server.
    drop(std::os::unix::net::UnixDatagram::bind(&path).unwrap());
    let config = StatsdConfig {
        udp: Some("127.0.0.1:0".parse().unwrap()),
        unix: Some(path.clone()),
        flush_interval: Duration::from_millis(20),
        limits: StatsdLimits::default(),
        label_limits: Limits::default(),
    };
    let socket = StatsdSocket::bind(&config).await.unwrap();
    let address = socket.udp_address().unwrap();
    let mut collector = Collector::new(Config::default(), TestClock::shared(0));
    collector.hear_statsd(socket);
    let handle = collector.handle();
    let (sink, mut batches) = mpsc::channel(1024);
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(collector.run(sink, async {
        drop(stopped.await);
    }));
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let unix = UnixDatagram::unbound().unwrap();
    for _ in 0..500 {
        udp.send_to(b"hits:1|c|#by:udp\nhits:2|c|#by:udp", address)
            .await
            .unwrap();
        unix.send_to(b"hits:1|c|#by:unix", &path).await.unwrap();
    }
    udp.send_to(b"no metric", address).await.unwrap();
    let (mut by_udp, mut by_unix) = (0.0, 0.0);
    while by_udp < 1500.0 || by_unix < 500.0 {
        let batch = batches.recv().await.expect("it is heard");
        assert_eq!(batch.door, "statsd");
        for sample in &batch.samples {
            assert_eq!(sample.time_ms % 20, 0);
            let Value::Float(value) = sample.value else {
                panic!()
            };
            match sample.labels.get("by") {
                Some("udp") => by_udp = value,
                _ => by_unix = value,
            }
        }
    }
    let packets = |socket| {
        handle
            .tally()
            .get("alluse_statsd_packets_total", &[("socket", socket)])
    };
    assert_eq!(packets("unix"), Some(500.0));
    while packets("udp") != Some(501.0) {
        tokio::task::yield_now().await;
    }
    drop(stop);
    let mut last = None;
    while let Some(batch) = batches.recv().await {
        last = Some(batch);
    }
    run.await.unwrap();
    let last = last.expect("its series end");
    assert!(
        last.samples
            .iter()
            .all(|s| matches!(s.value, Value::Float(v) if model::is_stale(v)))
    );
    assert_eq!(
        handle.tally().get(
            "alluse_statsd_rejected_lines_total",
            &[("reason", "syntax")]
        ),
        Some(1.0)
    );
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let config = StatsdConfig {
        udp: None,
        unix: Some(path.clone()),
        flush_interval: Duration::from_secs(1),
        limits: StatsdLimits::default(),
        label_limits: Limits::default(),
    };
    assert!(StatsdSocket::bind(&config).await.is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"data");
}
