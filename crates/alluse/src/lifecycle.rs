//! The life of the server: the real clock, everything spawned, everything stopped in reverse.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use act::Actuator;
use model::{Clock, Durability, Order, SampleSink};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    api::{self, ingest::Doors},
    assemble::{Assembly, TargetLink},
    config::Config,
    health,
    keep::Keep,
    mailbox::{Mail, Mailbox},
    otlp_grpc::Export,
};

/// Between two discoveries of a target: how soon its death or restart is noticed.
const DISCOVER_EVERY: Duration = Duration::from_secs(2);

/// Discoveries in a row without an answer until a target counts as lost: one late answer must
/// not end a trial.
const SILENT_MAX: u32 = 3;

/// Requests still running at shutdown are given so long.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Rolling back what is in force may take so long at shutdown; then the leases do it.
const PUT_BACK: Duration = Duration::from_secs(15);

/// The machine's clock, held so that it never falls: while an operator's step back is not yet
/// made good, it runs at half speed. Leases and windows depend on time that moves on.
#[derive(Debug)]
pub(crate) struct SystemClock {
    origin: Instant,
    /// The last wall time given, ms, and when.
    last: Mutex<(i64, Duration)>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one implementation of the clock"
)]
impl SystemClock {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            last: Mutex::new((i64::MIN, Duration::ZERO)),
        }
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        let (real, now) = (self.unix_ms(), self.monotonic());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (held(real, now, *last), now);
        last.0
    }

    fn monotonic(&self) -> Duration {
        self.now() - self.origin
    }
}

/// The wall time to give now, from the real one and the one given last.
fn held(real: i64, now: Duration, (last, at): (i64, Duration)) -> i64 {
    let passed = i64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(i64::MAX);
    real.max(last.saturating_add(passed / 2))
}

/// Runs an assembled server until `stop` resolves. `ready` is told the address it listens on.
pub(crate) async fn run(
    assembly: Assembly,
    put_back: bool,
    ready: impl FnOnce(std::net::SocketAddr),
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let Assembly {
        app,
        driver,
        mails,
        orders,
        mut collector,
        targets,
        keep,
        streams,
    } = assembly;
    let listen = app.config.server.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}"))
    })?;
    let address = listener.local_addr()?;
    let mailbox = app.loop_mail.clone();
    let (stopping, stopped) = watch::channel(false);
    let (sending_stops, sending_stopped) = watch::channel(false);

    collector.handle().add_target(own_target(address));
    hear_statsd(&mut collector, &app.config).await?;
    let exporting = export(&app.config, app.doors.clone(), stopped.clone()).await?;
    let looping = std::thread::Builder::new()
        .name("loop".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
            runtime
                .expect("a thread has a runtime")
                .block_on(driver.run(mails));
        })?;
    let actuating = tokio::spawn(actuate(targets, orders, mailbox.clone(), stopped.clone()));
    let sending = match &keep {
        Keep::Here(_) => None,
        Keep::Elsewhere(there) => Some(tokio::spawn(there.forwarder.clone().run(sending_stopped))),
    };
    let sink = Arc::clone(&app.doors.sink);
    let streaming = streams.map(|(streams, subscription)| {
        let (reader, sink) = (keep.reader(), Arc::clone(&sink));
        let clock = Arc::clone(&app.clock);
        tokio::spawn(streams.run(subscription, reader, sink, clock))
    });
    let streaming = streaming.unwrap_or_else(|| tokio::spawn(std::future::ready(())));
    app.notifying.listens_on(address);
    let notifying = tokio::spawn(Arc::clone(&app.notifying).run(stopped.clone()));
    let collecting = tokio::spawn(collect(collector, sink, stopped.clone()));
    let ruling = Arc::clone(&app.ruling).run(resolved(stopped.clone()));
    let ruling = tokio::spawn(ruling);
    let changes = app.feed.clone();
    let watching = tokio::spawn(health::watch(Arc::clone(&app.health), stopped.clone()));
    let serving = serve(listener, app, stopped.clone());
    ready(address);
    stop.await;

    // In reverse: first what is in force goes back, while everything still works.
    tracing::info!("stopping");
    mailbox.send(Mail::Stop { put_back }).await;
    let ended = tokio::task::spawn_blocking(move || looping.join());
    if tokio::time::timeout(PUT_BACK, ended).await.is_err() {
        tracing::error!("not everything could be put back in time: the leases will do it");
    }
    stopping.send_replace(true);
    // Whoever reads the feed over HTTP has to end, or the API would wait for it.
    changes.close();
    for (name, task) in [
        ("rules", ruling),
        ("collector", collecting),
        ("streams", streaming),
        ("notifier", notifying),
        ("actuators", actuating),
        ("health", watching),
        ("api", serving),
        ("OTLP over gRPC", exporting),
    ] {
        if tokio::time::timeout(DRAIN, task).await.is_err() {
            tracing::warn!(name, "did not end in time");
        }
    }
    sending_stops.send_replace(true);
    if let Some(sending) = sending {
        sending.await.map_err(std::io::Error::other)?;
    }
    tokio::task::spawn_blocking(move || keep.close())
        .await
        .map_err(std::io::Error::other)?
}

/// The server scrapes itself like any other service.
fn own_target(address: std::net::SocketAddr) -> collect::Target {
    collect::Target::new("alluse", format!("http://{address}/metrics"))
}

pub(crate) async fn resolved(mut stopped: watch::Receiver<bool>) {
    if stopped.wait_for(|stop| *stop).await.is_err() {
        // The sender is gone: that is a stop too.
    }
}

/// Hears StatsD, where the configuration says so.
pub(crate) async fn hear_statsd(
    collector: &mut collect::Collector,
    config: &Config,
) -> std::io::Result<()> {
    if let Some(statsd) = &config.collect.statsd {
        let socket = collect::StatsdSocket::bind(statsd).await;
        collector.hear_statsd(socket.map_err(std::io::Error::other)?);
    }
    Ok(())
}

/// Hears OTLP over gRPC, where the configuration says so.
pub(crate) async fn export(
    config: &Config,
    doors: Doors,
    stopped: watch::Receiver<bool>,
) -> std::io::Result<JoinHandle<()>> {
    let Some(said) = &config.collect.otlp_grpc else {
        return Ok(tokio::spawn(std::future::ready(())));
    };
    let listen = said.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}"))
    })?;
    tracing::info!("OTLP over gRPC on {}", listener.local_addr()?);
    let limits = collect::grpc::GrpcLimits {
        message_bytes: said.message_bytes_max,
        ..collect::grpc::GrpcLimits::default()
    };
    let method = Arc::new(Export(doors));
    let stop = resolved(stopped);
    Ok(tokio::spawn(collect::grpc::serve(
        listener, method, limits, stop,
    )))
}

/// Stores what is collected, on a thread where a slow disk holds up neither sampling nor the loop.
pub(crate) async fn collect(
    collector: collect::Collector,
    sink: Arc<dyn SampleSink>,
    stopped: watch::Receiver<bool>,
) {
    // Batches wait here while the store is busy; more than this and the collector counts what it
    // drops.
    const BATCHES_MAX: usize = 256;
    let (collected, mut batches) = mpsc::channel(BATCHES_MAX);
    let running = tokio::spawn(collector.run(collected, resolved(stopped)));
    let storing = tokio::task::spawn_blocking(move || {
        while let Some(batch) = batches.blocking_recv() {
            if let Err(error) = sink.append(&batch, Durability::Fast) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    samples = batch.samples.len(),
                    "a batch was not stored"
                );
            }
        }
    });
    if let Err(error) = storing.await {
        tracing::error!(%error, "storing what is collected failed");
    }
    if let Err(error) = running.await {
        tracing::error!(%error, "the collector failed");
    }
}

/// Two tasks a target: its orders, and its discoveries.
async fn actuate(
    targets: Vec<TargetLink>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mailbox: Mailbox,
    stopped: watch::Receiver<bool>,
) {
    let mut lanes = std::collections::BTreeMap::new();
    let mut tasks = Vec::new();
    for TargetLink { name, actuator } in targets {
        let (sender, receiver) = mpsc::unbounded_channel();
        lanes.insert(name.clone(), sender);
        tasks.push(tokio::spawn(carry(
            Arc::clone(&actuator),
            receiver,
            mailbox.clone(),
        )));
        tasks.push(tokio::spawn(discover(
            name,
            actuator,
            mailbox.clone(),
            stopped.clone(),
        )));
    }
    // The loop owns the sender: when it ends, so do we.
    while let Some(order) = orders.recv().await {
        let lane = lanes
            .get(&order.target)
            .expect("orders go to configured targets");
        if lane.send(order).is_err() {
            break;
        }
    }
    drop(lanes);
    for task in tasks {
        if let Err(error) = task.await {
            tracing::error!(%error, "an actuator failed");
        }
    }
}

/// Orders of one target, in their order.
async fn carry(
    actuator: Arc<dyn Actuator>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mailbox: Mailbox,
) {
    while let Some(order) = orders.recv().await {
        if !mailbox
            .send(Mail::Outcome(actuator.carry(order).await))
            .await
        {
            return;
        }
    }
}

/// Asks one target for its knobs now and then: beside its orders, so that a target that hangs
/// does not delay a roll-back.
async fn discover(
    name: String,
    actuator: Arc<dyn Actuator>,
    mailbox: Mailbox,
    stopped: watch::Receiver<bool>,
) {
    let mut beat = tokio::time::interval(DISCOVER_EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stop = resolved(stopped);
    tokio::pin!(stop);
    let mut silent = 0;
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = beat.tick() => {}
        }
        let target = name.clone();
        let mail = match actuator.discover().await {
            Ok(discovery) => {
                silent = 0;
                Mail::Seen { target, discovery }
            }
            Err(error) => {
                silent += 1;
                tracing::debug!(target, silent, %error, "a target does not answer");
                if silent < SILENT_MAX {
                    continue;
                }
                Mail::Lost { target }
            }
        };
        if !mailbox.send(mail).await {
            return;
        }
    }
}

fn serve(
    listener: TcpListener,
    app: Arc<api::App>,
    stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let service =
            api::router(app).into_make_service_with_connect_info::<api::ingest::Connection>();
        let served = axum::serve(listener, service).with_graceful_shutdown(resolved(stopped));
        if let Err(error) = served.await {
            tracing::error!(%error, "the API failed");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_goes_on_at_half_speed_until_real_time_has_caught_up() {
        let at = Duration::from_millis;
        assert_eq!(held(1_000, at(0), (i64::MIN, at(0))), 1_000);
        assert_eq!(
            held(5_000, at(10), (1_000, at(0))),
            5_000,
            "a step forward is taken"
        );
        assert_eq!(
            held(900, at(100), (1_000, at(0))),
            1_050,
            "a step back is not"
        );
        assert_eq!(held(1_100, at(300), (1_050, at(100))), 1_150);
        assert_eq!(held(2_000, at(500), (1_150, at(300))), 2_000);
    }
}
