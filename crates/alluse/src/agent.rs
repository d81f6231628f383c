//! `alluse agent`: collects as the server does, keeps nothing, and sends everything elsewhere by
//! remote write through a queue on the disk.

mod label;

use std::{io::Write, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, State},
    http::header,
    response::IntoResponse,
    routing::get,
};
use label::Labelling;
use model::{Clock, SampleSink};
use runtime::metrics::Format;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    Failure, api,
    api::ingest::{Behind, Connection, Doors, Places},
    assemble,
    cli::AgentArgs,
    config::{Config, outlet},
    forward::{Forwarder, SpillSink},
    keep,
    lifecycle::{self, SystemClock, resolved},
    serve,
    telemetry::Telemetry,
};

/// What the agent's own pages share.
#[derive(Debug, Clone)]
struct Own {
    doors: Doors,
    telemetry: Arc<Telemetry>,
    collector: collect::Handle,
    forwarder: Forwarder,
}

impl FromRef<Own> for Doors {
    fn from_ref(own: &Own) -> Self {
        own.doors.clone()
    }
}

/// Runs the agent until SIGINT or SIGTERM.
pub(crate) fn run(args: AgentArgs) -> Result<(), Failure> {
    let config = configured(args.clone())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let said = &config.agent;
    let folder = said.data.join("queue");
    let forwarder =
        keep::forwarder(&said.outlet, &folder, &clock).map_err(|error| Failure::of(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::of(&error))?;
    let ran = runtime.block_on(collect_and_send(
        config,
        clock,
        forwarder,
        serve::stop(args.until_stdin_closes),
    ));
    runtime.shutdown_background();
    ran.map_err(|error| Failure::of(&error))
}

fn configured(args: AgentArgs) -> Result<Config, Failure> {
    let mut config = serve::read(args.config.as_deref())?;
    let said = &mut config.agent;
    said.listen = args.listen.unwrap_or(said.listen);
    said.data = args.data.unwrap_or_else(|| said.data.clone());
    if let Some(to) = args.to {
        if !outlet::is_address(&to) {
            let message = format!("alluse: --to {to:?} begins with neither http:// nor https://");
            return Err(Failure::usage(message));
        }
        said.outlet.peer.url = to;
    }
    let url = said.outlet.peer.url.trim_end_matches('/');
    said.outlet.peer.url = url.trim_end_matches("/api/v1/write").to_owned();
    if said.outlet.peer.url.is_empty() {
        let message = "alluse: where to? Give --to http://HOST:PORT, or `to` in [agent]";
        return Err(Failure::usage(message));
    }
    serve::read_jobs(&mut config)?;
    Ok(config)
}

async fn collect_and_send(
    config: Config,
    clock: Arc<dyn Clock>,
    forwarder: Forwarder,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let listen = config.agent.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}"))
    })?;
    let address = listener.local_addr()?;
    let telemetry = Arc::new(Telemetry::new());
    forwarder.watch(&telemetry.registry);
    let mut collector = assemble::collector(&config, Arc::clone(&clock));
    lifecycle::hear_statsd(&mut collector, &config).await?;
    let quality = Arc::clone(collector.handle().quality());
    let labelling = Labelling::new(SpillSink(Arc::clone(&forwarder.spill)), labels(&config));
    let sink: Arc<dyn SampleSink> = Arc::new(collect::Inspected::new(
        Arc::new(labelling),
        Arc::clone(&quality),
        Arc::clone(&clock),
    ));
    collector.handle().add_target(collect::Target::new(
        "alluse-agent",
        format!("http://{address}/metrics"),
    ));
    let own = Own {
        doors: Doors(Arc::new(Behind {
            receiver: assemble::receiver(&config).inspected(quality),
            sink: Arc::clone(&sink),
            places: Places::default(),
            clock,
            durability: config.store.durability,
        })),
        telemetry,
        collector: collector.handle(),
        forwarder: forwarder.clone(),
    };
    let (stopping, stopped) = watch::channel(false);
    let (sending_stops, sending_stopped) = watch::channel(false);
    let exporting = lifecycle::export(&config, own.doors.clone(), stopped.clone()).await?;
    let collecting = tokio::spawn(lifecycle::collect(collector, sink, stopped.clone()));
    let serving = tokio::spawn(pages(listener, own, config.server.body_bytes_max, stopped));
    let sending = tokio::spawn(forwarder.run(sending_stopped));
    ready(address);
    stop.await;

    // In reverse: first nothing more comes in, then what is there is sent.
    tracing::info!("stopping");
    stopping.send_replace(true);
    for (name, task) in [
        ("collector", collecting),
        ("pages", serving),
        ("OTLP over gRPC", exporting),
    ] {
        if tokio::time::timeout(lifecycle::DRAIN, task).await.is_err() {
            tracing::warn!(name, "did not end in time");
        }
    }
    sending_stops.send_replace(true);
    sending.await.map_err(std::io::Error::other)
}

/// The one line of standard output: a program that starts this one waits for it.
fn ready(address: std::net::SocketAddr) {
    let mut out = std::io::stdout();
    let said = writeln!(out, "alluse agent ready on http://{address}").and_then(|()| out.flush());
    if said.is_err() {
        tracing::debug!("nobody reads standard output");
    }
}

/// The labels configured; without any, this host's name as `instance`: or the series of two
/// agents' hosts would be one.
fn labels(config: &Config) -> Vec<(String, String)> {
    if !config.agent.labels.is_empty() {
        return config.agent.labels.clone();
    }
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    vec![("instance".to_owned(), name)]
}

/// Its metrics, its health, and the doors for samples pushed to it.
async fn pages(
    listener: TcpListener,
    own: Own,
    body_bytes_max: usize,
    stopped: watch::Receiver<bool>,
) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route(
            "/-/healthy",
            get(|| async { "The ALL-USE agent is healthy.\n" }),
        )
        .route("/-/ready", get(state))
        .merge(api::ingest::routes())
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .with_state(own);
    let service = router.into_make_service_with_connect_info::<Connection>();
    let served = axum::serve(listener, service).with_graceful_shutdown(resolved(stopped));
    if let Err(error) = served.await {
        tracing::error!(%error, "the agent's pages failed");
    }
}

async fn metrics(State(own): State<Own>) -> impl IntoResponse {
    let mut text = own.telemetry.registry.render(Format::Prometheus);
    text.push_str(&crate::telemetry::collector_text(&own.collector));
    let kind = Format::Prometheus.content_type();
    ([(header::CONTENT_TYPE, kind)], text)
}

/// `GET /-/ready`: samples are taken; whether they get through is said with it.
async fn state(State(own): State<Own>) -> String {
    let peer = own.forwarder.writer.peer().state();
    let queued = own.forwarder.spill.stats().queued;
    match peer.reachable {
        Some(false) => format!(
            "The ALL-USE agent is ready, its peer is not: {queued} samples wait; {}\n",
            peer.last_error
        ),
        Some(true) | None => format!("The ALL-USE agent is ready; {queued} samples wait.\n"),
    }
}
