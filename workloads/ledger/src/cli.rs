//! The command line: `ledger serve` runs the service, `ledger oracle` prints ten years.

use std::{ffi::OsString, io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    account::Kind,
    ledger,
    money::Cents,
    oracle::{Simulation, WEEKS_A_YEAR},
    rules::{Rules, fork, merge},
    service::{Config, Service},
    store::{readers::MOST_READERS, seed::Seed},
};

/// Accounts, transfers and their growth, on durable books.
#[derive(Debug, Parser)]
#[command(name = "ledger", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until SIGTERM or Ctrl-C; prints one line with its address when ready.
    Serve(Serve),
    /// Print ten years of the weekly protocol: total and forks at the end of each year.
    Oracle,
}

#[derive(Debug, Args)]
struct Serve {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// Directory of the books; made if it is not there.
    #[arg(long, default_value = "ledger-data")]
    data: PathBuf,
    /// Accounts to fill empty books with; odd ones are Gen, even ones Rev.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=1_000_000))]
    seed_accounts: i64,
    /// Weeks of premiums in the past of each seeded account.
    #[arg(long, default_value_t = 26, value_parser = clap::value_parser!(i64).range(0..=1_040))]
    seed_weeks: i64,
    /// Set a knob's baseline: NAME=VALUE. May be repeated.
    #[arg(long = "knob", value_name = "NAME=VALUE", value_parser = pair)]
    knobs: Vec<(String, String)>,
    /// Hold a knob against every tuner: NAME=VALUE. May be repeated.
    #[arg(long = "pin", value_name = "NAME=VALUE", value_parser = pair)]
    pins: Vec<(String, String)>,
    #[command(flatten)]
    rules: RuleArgs,
}

/// Rules an installation may set.
#[derive(Debug, Args)]
struct RuleArgs {
    /// Surplus at which an account forks, in whole units of currency.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(i64).range(1..=1_000_000_000))]
    fork_surplus: i64,
    /// Share of the surplus that leaves, per cent.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100))]
    fork_moved: i64,
    /// Rest between two forks of an account, seconds.
    #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(i64).range(0..=31_536_000))]
    fork_cooling: i64,
    /// Rest of a target between two merges by hand, seconds.
    #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(i64).range(0..=31_536_000))]
    merge_cooling: i64,
}

/// Runs the program with these arguments, the first being its name. Starts a tokio runtime of its
/// own and returns when the service has stopped.
#[must_use]
pub fn main_with(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let outcome = match cli.command {
        Command::Serve(serve) => run(serve),
        Command::Oracle => print_oracle(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn run(serve: Serve) -> Outcome {
    start_log();
    let threads = usize::try_from(MOST_READERS)? + SPARE_THREADS;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(threads)
        .build()?;
    runtime.block_on(async {
        // Before it says that it is ready: whoever reads that may tell it to stop at once.
        let stop = told_to_stop()?;
        let service = Service::start(serve.config()).await?;
        say(&format!("ledger ready on http://{}", service.address()))?;
        service.run_until(stop).await?;
        Ok(())
    })
}

/// Blocking threads beside those of the readers: for the shutdown.
const SPARE_THREADS: usize = 4;

fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter);
    // A program that embeds this one may have its own log already.
    drop(log.try_init());
}

fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn print_oracle() -> Outcome {
    let mut simulation = Simulation::start(Cents::units(300_000), Rules::default())?;
    say("year           total  forks")?;
    for year in 1..=10 {
        for _ in 0..WEEKS_A_YEAR {
            simulation.week()?;
        }
        let (total, forks) = (simulation.total().to_string(), simulation.forks());
        say(&format!("{year:4} {total:>15} {forks:6}"))?;
    }
    for kind in Kind::ALL {
        let balance = simulation.main(kind).to_string();
        say(&format!("{:4} {balance:>15}", kind.name()))?;
    }
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// The whole chain of causes, one a line.
fn report(error: &dyn std::error::Error) {
    tracing::debug!(?error, "failed");
    let mut err = std::io::stderr().lock();
    let mut next = Some(error);
    let mut lead = "ledger: ";
    while let Some(error) = next {
        // There is nowhere left to say that standard error is closed.
        drop(writeln!(err, "{lead}{error}"));
        lead = "  because ";
        next = error.source();
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.into(), value.into()))
}

impl Serve {
    fn config(self) -> Config {
        let seed = Seed {
            accounts: self.seed_accounts,
            weeks: self.seed_weeks,
        };
        Config {
            listen: self.listen,
            ledger: ledger::Config {
                data: self.data,
                rules: self.rules.rules(),
                seed: (seed.accounts > 0).then_some(seed),
            },
            knobs: self.knobs,
            pins: self.pins,
        }
    }
}

impl RuleArgs {
    fn rules(&self) -> Rules {
        Rules {
            fork: fork::Rule {
                surplus: Cents::units(self.fork_surplus),
                moved: self.fork_moved,
                cooling_ms: self.fork_cooling * 1_000,
                ..fork::Rule::default()
            },
            merge: merge::Rule {
                cooling_ms: self.merge_cooling * 1_000,
                ..merge::Rule::default()
            },
        }
    }
}
