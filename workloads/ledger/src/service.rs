//! The running service: books, knobs, metrics and API put together, and their end in reverse.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::ListenerExt;
use runtime::{Clock, Executor, executor, knobs, metrics::Registry, process};
use thiserror::Error;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    http::{self, App},
    ledger::{self, Ledger, StartError},
    telemetry::Telemetry,
};

/// Requests that may wait for the executor; beyond that a wait of seconds would be certain.
const QUEUE: usize = 4_096;
/// Requests under way at a stop have this long to finish.
const DRAIN: Duration = Duration::from_secs(10);

/// How to run the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The books.
    pub ledger: ledger::Config,
    /// Knobs set from the command line or a file: the baseline of this process.
    pub knobs: Vec<(String, String)>,
    /// Knobs an operator holds against every tuner.
    pub pins: Vec<(String, String)>,
}

/// A service that answers.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
    watchdog: JoinHandle<()>,
    app: Arc<App>,
}

/// Why the service does not start or ended badly.
#[derive(Debug, Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The books.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A knob on the command line.
    #[error("cannot set knob {name} to {value}: {why}")]
    Knob {
        /// Which knob.
        name: String,
        /// To what.
        value: String,
        /// Why not.
        why: String,
    },
    /// The server stopped by itself.
    #[error("the server failed")]
    Serve(#[from] std::io::Error),
    /// A request was still running when its time to finish was over.
    #[error("requests were still under way after {DRAIN:?}")]
    Drain,
}

impl Service {
    /// Opens the books and answers.
    ///
    /// # Errors
    /// The address or the books cannot be had, or a knob's value is not allowed.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let (clock, metrics) = (Clock::start(), Registry::default());
        let registry = knob::Registry::default();
        process::declare(&metrics);
        let app = Arc::new(assemble(&config, clock, &registry, &metrics)?);
        set_knobs(&config, &registry)?;
        let service = knobs::Service::new("ledger", registry, clock, &metrics);
        let router = http::router(Arc::clone(&app)).merge(service.router());
        let listener = listen(config.listen).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        // Answers are small and awaited: waiting to fill a packet would only delay them.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
        });
        let server = axum::serve(listener, router).with_graceful_shutdown(async {
            // The other end is dropped to stop.
            drop(stopped.await);
        });
        Ok(Self {
            address,
            stop,
            served: tokio::spawn(server.into_future()),
            watchdog: tokio::spawn(service.watch()),
            app,
        })
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `signal`, then finishes what is under way and closes the books.
    ///
    /// # Errors
    /// The server failed, or requests did not finish in time.
    pub async fn run_until(mut self, signal: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::select! {
            () = signal => {}
            ended = &mut self.served => {
                return Err(Error::Serve(ended.map_err(std::io::Error::other)
                    .and_then(|served| served)
                    .err()
                    .unwrap_or_else(|| std::io::Error::other("it stopped accepting"))));
            }
        }
        self.stop().await
    }

    /// Finishes what is under way and closes the books.
    ///
    /// # Errors
    /// The server failed, or requests did not finish in time.
    pub async fn stop(self) -> Result<(), Error> {
        drop(self.stop);
        let drained = tokio::time::timeout(DRAIN, self.served).await;
        self.watchdog.abort();
        drained
            .map_err(|_elapsed| Error::Drain)?
            .map_err(std::io::Error::other)??;
        if let Some(app) = Arc::into_inner(self.app) {
            let closed = tokio::task::spawn_blocking(move || app.ledger.close()).await;
            closed.map_err(std::io::Error::other)?;
        }
        Ok(())
    }
}

fn assemble(
    config: &Config,
    clock: Clock,
    knobs: &knob::Registry,
    metrics: &Registry,
) -> Result<App, StartError> {
    let telemetry = Arc::new(Telemetry::new(metrics));
    let executor = executor::Config {
        concurrency: 10,
        queue: QUEUE,
    };
    Ok(App {
        ledger: Ledger::open(config.ledger.clone(), clock, knobs, metrics, &telemetry)?,
        executor: Executor::new(executor, clock, knobs, metrics)?,
        telemetry,
        metrics: metrics.clone(),
        clock,
    })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| Error::Listen { address, source })
}

fn set_knobs(config: &Config, registry: &knob::Registry) -> Result<(), Error> {
    for (name, value) in &config.knobs {
        let set = |value: &knob::Value| registry.configure(name, value, "command line");
        set_knob(registry, (name, value), set)?;
    }
    for (name, value) in &config.pins {
        let pin = |value: &knob::Value| registry.pin(name, value, "command line", Duration::ZERO);
        set_knob(registry, (name, value), pin)?;
    }
    Ok(())
}

fn set_knob(
    registry: &knob::Registry,
    (name, value): (&str, &str),
    set: impl FnOnce(&knob::Value) -> Result<(), knob::Refusal>,
) -> Result<(), Error> {
    let refused = |why: String| Error::Knob {
        name: name.into(),
        value: value.into(),
        why,
    };
    let knobs = registry.inventory(Duration::ZERO).knobs;
    let found = knobs.into_iter().find(|knob| knob.name == name);
    let domain = found
        .ok_or_else(|| refused("there is no such knob".into()))?
        .domain;
    let parsed = domain.parse(value);
    let parsed = parsed.ok_or_else(|| refused(format!("it is {domain}")))?;
    set(&parsed).map_err(|refusal| refused(refusal.to_string()))
}
