//! The connections' thread: keep-alive HTTP/1.1, one request at a time on each.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    dispatch::thread_cpu,
    engine::Shared,
    queue::Job,
    record::{Code, Thread},
    scenario::Request,
};

/// How often the thread's CPU time is brought up to date.
const CPU_EVERY: Duration = Duration::from_millis(100);

/// Serves the queue until it is closed and empty.
pub(crate) async fn serve(shared: Arc<Shared>) {
    let mut workers = JoinSet::new();
    for _ in 0..shared.config.connections {
        workers.spawn(work(shared.clone()));
    }
    let mut beat = tokio::time::interval(CPU_EVERY);
    loop {
        tokio::select! {
            ended = workers.join_next() => if ended.is_none() { break },
            _ = beat.tick() => shared.recorder.cpu(Thread::Connections, thread_cpu()),
        }
    }
    shared.recorder.cpu(Thread::Connections, thread_cpu());
}

/// One connection's life: a job at a time, a new connection when the old one broke.
async fn work(shared: Arc<Shared>) {
    let mut connection = None;
    while let Some(job) = shared.queue.next().await {
        if shared.is_stopped() {
            shared.recorder.abandoned(1);
            continue;
        }
        let Job {
            operation,
            intended,
            request,
        } = job;
        let exchange = exchange(&shared, &mut connection, operation, request);
        let code = match tokio::time::timeout(shared.config.timeout, exchange).await {
            Ok(Ok(status)) => Code::of_status(status),
            Ok(Err(_)) => Code::Broken,
            Err(_elapsed) => Code::Timeout,
        };
        if matches!(code, Code::Broken | Code::Timeout) {
            connection = None;
        }
        let latency = shared.now().saturating_sub(intended);
        shared.recorder.done(operation, latency, code);
    }
}

/// There was no whole answer. Why is not recorded: the code says what a client sees.
struct Broken;

async fn exchange(
    shared: &Shared,
    connection: &mut Option<SendRequest<Full<Bytes>>>,
    operation: usize,
    request: Request,
) -> Result<u16, Broken> {
    let request = http_request(shared, request)?;
    // A server may close an idle connection: that is no failure of this request.
    let mut open = connection.take();
    let usable = match &mut open {
        Some(sender) => sender.ready().await.is_ok(),
        None => false,
    };
    let mut sender = match open.filter(|_| usable) {
        Some(sender) => sender,
        None => connect(shared).await?,
    };
    let answer = sender
        .send_request(request)
        .await
        .map_err(|_broken| Broken)?;
    let status = answer.status().as_u16();
    let body = answer
        .into_body()
        .collect()
        .await
        .map_err(|_broken| Broken)?
        .to_bytes();
    *connection = Some(sender);
    let scenario = shared.scenario.lock();
    let mut scenario = scenario.unwrap_or_else(std::sync::PoisonError::into_inner);
    scenario.answered(operation, status, &body);
    Ok(status)
}

fn http_request(shared: &Shared, request: Request) -> Result<hyper::Request<Full<Bytes>>, Broken> {
    let mut built = hyper::Request::builder()
        .method(request.method)
        .uri(request.path)
        .header(HOST, &shared.config.address);
    if !request.body.is_empty() {
        built = built.header(CONTENT_TYPE, "application/json");
    }
    built
        .body(Full::new(request.body))
        .map_err(|_bad_path| Broken)
}

async fn connect(shared: &Shared) -> Result<SendRequest<Full<Bytes>>, Broken> {
    let stream = TcpStream::connect(&shared.config.address).await;
    let stream = stream.map_err(|_refused| Broken)?;
    stream.set_nodelay(true).map_err(|_gone| Broken)?;
    let (sender, driver) = handshake(TokioIo::new(stream))
        .await
        .map_err(|_broken| Broken)?;
    // Ends when the sender is dropped or the server closes; its error is the request's error.
    tokio::spawn(async move { drop(driver.await) });
    Ok(sender)
}
