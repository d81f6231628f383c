//! A server that answers as a function says, and the clock of these tests.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, extract::Request, http::StatusCode};
use load::{Config, Engine, Handle, Operation, Plan, Scenario};
use model::Clock;
use numerics::rng::Rng;

#[derive(Debug)]
struct TestClock(Instant);

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        0
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Paths in the order of their arrival.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

type Answer = Pin<Box<dyn Future<Output = (StatusCode, String)> + Send>>;

/// A server on a free port: its address, and what it was asked.
pub(crate) async fn server(
    answer: impl Fn(String) -> Answer + Clone + Send + Sync + 'static,
) -> (String, Seen) {
    let seen = Seen::default();
    let log = seen.clone();
    let app = Router::new().fallback(move |request: Request| {
        let path = request.uri().to_string();
        log.lock().unwrap().push(path.clone());
        answer(path)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, seen)
}

/// An answer that is there at once.
pub(crate) fn at_once(status: u16) -> Answer {
    Box::pin(async move {
        (
            StatusCode::from_u16(status).unwrap(),
            "{\"id\":7}".to_owned(),
        )
    })
}

/// `GET /<operation>/<random number>`, and what was answered.
#[derive(Debug, Default)]
pub(crate) struct Gets {
    pub(crate) operations: Vec<Operation>,
    pub(crate) answered: Arc<Mutex<Vec<(usize, u16, String)>>>,
}

impl Gets {
    pub(crate) fn of(names: &[&str]) -> Self {
        let operations = names
            .iter()
            .map(|name| Operation::new(*name, 1.0))
            .collect();
        Self {
            operations,
            ..Self::default()
        }
    }
}

impl Scenario for Gets {
    fn operations(&self) -> Vec<Operation> {
        self.operations.clone()
    }

    fn request(&mut self, operation: usize, random: &mut Rng) -> load::Request {
        let name = &self.operations[operation].name;
        load::Request::get(format!("/{name}/{}", random.below(1_000_000)))
    }

    fn answered(&mut self, operation: usize, status: u16, body: &[u8]) {
        let body = String::from_utf8(body.to_vec()).unwrap();
        self.answered
            .lock()
            .unwrap()
            .push((operation, status, body));
    }
}

pub(crate) fn start(address: &str, plan: Plan, scenario: Gets) -> Handle {
    start_with(&Config::new(address, plan), scenario)
}

#[expect(clippy::disallowed_methods, reason = "a test's own real clock")]
pub(crate) fn start_with(config: &Config, scenario: Gets) -> Handle {
    let clock = Arc::new(TestClock(Instant::now()));
    Engine::start(config, Box::new(scenario), clock).unwrap()
}
