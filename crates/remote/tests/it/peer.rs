//! A peer that answers what a test says and keeps what it was sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use collect::receive::{Received, Receiver, Request};
use model::Clock;
use remote::{Peer, PeerConfig};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |v| v.to_str().expect("headers are text"))
    }

    /// What our own receiver makes of it.
    pub(crate) fn received(&self) -> Received {
        received(self.header("content-type"), &self.body)
    }
}

pub(crate) fn received(content_type: &str, body: &[u8]) -> Received {
    let request = Request {
        content_type: Some(content_type),
        content_encoding: Some("snappy"),
        body,
        ..Request::default()
    };
    Receiver::default()
        .remote_write(&request)
        .expect("what is sent can be read")
}

/// What to answer: status, headers, body.
#[derive(Debug, Clone)]
pub(crate) struct Say(
    pub(crate) u16,
    pub(crate) Vec<(&'static str, String)>,
    pub(crate) String,
);

impl Say {
    pub(crate) fn status(status: u16) -> Self {
        Self(status, Vec::new(), String::new())
    }

    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self(200, Vec::new(), body.into())
    }

    /// Success, as 2.0 has it.
    pub(crate) fn wrote(samples: u64) -> Self {
        let name = "x-prometheus-remote-write-samples-written";
        Self(204, vec![(name, samples.to_string())], String::new())
    }
}

type Answer = Box<dyn FnMut(&Came) -> Say + Send>;

#[derive(Clone)]
pub(crate) struct Scripted {
    pub(crate) url: String,
    came: Arc<Mutex<Vec<Came>>>,
    answer: Arc<Mutex<Answer>>,
}

impl Scripted {
    /// A peer that asks `answer` what to say.
    pub(crate) async fn start(answer: impl FnMut(&Came) -> Say + Send + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let scripted = Self {
            url,
            came: Arc::default(),
            answer: Arc::new(Mutex::new(Box::new(answer))),
        };
        let router = Router::new().fallback(serve).with_state(scripted.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        scripted
    }

    /// A peer that gives these answers in turn, and the last one for ever.
    pub(crate) async fn saying(answers: Vec<Say>) -> Self {
        let mut left: VecDeque<Say> = answers.into();
        Self::start(move |_| {
            if left.len() > 1 {
                left.pop_front().unwrap()
            } else {
                left.front().unwrap().clone()
            }
        })
        .await
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    pub(crate) fn config(&self) -> PeerConfig {
        PeerConfig::new(&self.url)
    }
}

async fn serve(
    State(scripted): State<Scripted>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let came = Came { uri, headers, body };
    let Say(status, headers, body) = (scripted.answer.lock().unwrap())(&came);
    scripted.came.lock().unwrap().push(came);
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

#[derive(Debug)]
struct RealClock(Instant);

impl Clock for RealClock {
    fn wall_ms(&self) -> i64 {
        1_790_000_000_000
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "the breaker's time is real here")]
pub(crate) fn connect(config: PeerConfig) -> Arc<Peer> {
    Peer::new(config, None, Arc::new(RealClock(Instant::now()))).unwrap()
}
