//! How long a point query takes through HTTP: one series, its newest value. First one after the
//! other on a kept connection, then open-loop, from the intended start of each request.

use std::time::Duration;

use e2e::{figures::quantile, offered, server::Server};
use load::{Operation, Request, Scenario};
use numerics::rng::Rng;

const QUERY: &str = "node_load1";
const WARM_UP: Duration = Duration::from_secs(10);
const IN_TURN: usize = 3_000;
const RATE: f64 = 200.0;
const OPEN_LOOP: Duration = Duration::from_secs(15);

#[derive(Debug)]
struct Asking;

impl Scenario for Asking {
    fn operations(&self) -> Vec<Operation> {
        vec![Operation::new("query", 1.0)]
    }

    fn request(&mut self, _operation: usize, _random: &mut Rng) -> Request {
        Request::get(format!("/api/v1/query?query={QUERY}"))
    }
}

pub(crate) async fn measure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(folder.path(), "").await;
    tokio::time::sleep(WARM_UP).await;
    let status = server.look("status").await;
    let clock = offered::clock();
    let path = format!("/api/v1/query?query={QUERY}");
    let mut took_ms = Vec::with_capacity(IN_TURN);
    for _ in 0..IN_TURN {
        let begun = clock.monotonic();
        let reply = server.http.get(&path).await;
        took_ms.push(1e3 * (clock.monotonic() - begun).as_secs_f64());
        assert!(reply.text.contains("\"value\""), "{}", reply.text);
    }
    let at = |q| quantile(&took_ms, q).expect("something was measured");
    println!(
        "{} series, {} samples; query `{QUERY}`",
        status["series"], status["samples"]
    );
    println!(
        "in turn: p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms, n {IN_TURN}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let load = offered::start(&server.program.url, RATE, Box::new(Asking), 1);
    tokio::time::sleep(OPEN_LOOP).await;
    let total = load.total();
    load.stop();
    let asked = &total.operations[0];
    println!(
        "open loop at {RATE}/s, from the intended start: p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms, n {}, {} errors, {:?}",
        1e3 * asked.p50_seconds,
        1e3 * asked.p99_seconds,
        1e3 * asked.max_seconds,
        asked.count,
        asked.errors,
        total.validity
    );
}
