//! The life of the server: the real clock, everything spawned, everything stopped in reverse.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use model::{Clock, Order};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    api,
    assemble::{Assembly, TargetLink},
    mailbox::{Mail, Mailbox},
};

/// Between two discoveries of a target: how soon its death or restart is noticed.
const DISCOVER_EVERY: Duration = Duration::from_secs(2);

/// Requests still running at shutdown are given so long.
const DRAIN: Duration = Duration::from_secs(10);

/// Rolling back what is in force may take so long at shutdown; then the leases do it.
const PUT_BACK: Duration = Duration::from_secs(15);

/// The machine's clock.
#[derive(Debug)]
pub(crate) struct SystemClock {
    origin: Instant,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one implementation of the clock"
)]
impl SystemClock {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        i64::try_from(self.unix().as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.now() - self.origin
    }
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
        collector,
        targets,
        store,
    } = assembly;
    let listener = TcpListener::bind(app.config.server.listen).await?;
    let address = listener.local_addr()?;
    let mailbox = app.loop_mail.clone();
    let (stopping, stopped) = watch::channel(false);

    collector.handle().add_target(own_target(address));
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
    let collecting = tokio::spawn(collect(collector, mailbox.clone(), stopped.clone()));
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
    for (name, task) in [
        ("collector", collecting),
        ("actuators", actuating),
        ("api", serving),
    ] {
        if tokio::time::timeout(DRAIN, task).await.is_err() {
            tracing::warn!(name, "did not end in time");
        }
    }
    tokio::task::spawn_blocking(move || store.close())
        .await
        .map_err(std::io::Error::other)?
        .map_err(std::io::Error::other)
}

/// The server scrapes itself like any other service.
fn own_target(address: std::net::SocketAddr) -> collect::Target {
    collect::Target::new("alluse", format!("http://{address}/metrics"))
}

async fn resolved(mut stopped: watch::Receiver<bool>) {
    if stopped.wait_for(|stop| *stop).await.is_err() {
        // The sender is gone: that is a stop too.
    }
}

async fn collect(collector: collect::Collector, mailbox: Mailbox, stopped: watch::Receiver<bool>) {
    // Batches wait here while the loop takes a turn; more than this and the collector counts
    // what it drops.
    const BATCHES_MAX: usize = 256;
    let (sink, mut batches) = mpsc::channel(BATCHES_MAX);
    let running = tokio::spawn(collector.run(sink, resolved(stopped)));
    while let Some(batch) = batches.recv().await {
        if !mailbox.send(Mail::Batch(batch)).await {
            break;
        }
    }
    drop(batches);
    if let Err(error) = running.await {
        tracing::error!(%error, "the collector failed");
    }
}

/// One task a target: orders in their order, discoveries between them.
async fn actuate(
    targets: Vec<TargetLink>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mailbox: Mailbox,
    stopped: watch::Receiver<bool>,
) {
    let mut lanes = std::collections::BTreeMap::new();
    let mut tasks = Vec::new();
    for link in targets {
        let (sender, receiver) = mpsc::unbounded_channel();
        lanes.insert(link.name.clone(), sender);
        tasks.push(tokio::spawn(actuate_one(
            link,
            receiver,
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

async fn actuate_one(
    link: TargetLink,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mailbox: Mailbox,
    stopped: watch::Receiver<bool>,
) {
    let mut beat = tokio::time::interval(DISCOVER_EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stop = resolved(stopped);
    tokio::pin!(stop);
    loop {
        let mail = tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(order) => Mail::Outcome(link.actuator.carry(order).await),
                None => return,
            },
            () = &mut stop => return,
            _ = beat.tick() => match link.actuator.discover().await {
                Ok(discovery) => Mail::Seen { target: link.name.clone(), discovery },
                Err(error) => {
                    tracing::debug!(target = link.name, %error, "a target does not answer");
                    Mail::Lost { target: link.name.clone() }
                }
            },
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
        let served =
            axum::serve(listener, api::router(app)).with_graceful_shutdown(resolved(stopped));
        if let Err(error) = served.await {
            tracing::error!(%error, "the API failed");
        }
    })
}
