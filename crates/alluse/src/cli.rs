//! The command line: what can be asked for, in words that teach.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Exit codes, the same for every command.
pub(crate) mod exit {
    /// It failed.
    pub(crate) const FAILED: u8 = 1;
    /// The command line or the configuration is wrong (also clap's own code).
    pub(crate) const USAGE: u8 = 2;
    /// Ended by Ctrl-C.
    pub(crate) const INTERRUPTED: u8 = 130;
}

/// ALL-USE watches services, understands them, and tunes their knobs: every change admitted by a
/// governor, tried under a lease, judged by a sound test, and kept or undone.
#[derive(Debug, Parser)]
#[command(
    name = "alluse",
    version,
    arg_required_else_help = true,
    after_help = "Begin with `alluse demo`: a real service under real load, tuned before your eyes.\n\
                  Exit codes: 0 done, 1 failed, 2 usage or configuration, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Say less: warnings and errors only.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tune a real service under real load, live, on this machine.
    Demo(DemoArgs),
    /// Run the server: collect, store, answer, analyze, and tune what the configuration names.
    Serve(ServeArgs),
    /// Collect here, keep samples elsewhere: send them by remote write to another ALL-USE, or to
    /// Prometheus, VictoriaMetrics, Mimir, Thanos or Cortex.
    ///
    /// What is collected goes into a queue on the disk first, so that an outage of the other side
    /// loses nothing that fits there, and neither does a crash of this process. Its own metrics
    /// are at http://127.0.0.1:9401/metrics; what is pushed there (remote write, OTLP, InfluxDB
    /// lines) is sent on as well. The configuration may have the tables `collect`, `agent`
    /// (to, listen, data), `agent.peer` (write_prefix, tenant, user, password_file,
    /// bearer_token_file, timeout), `agent.peer.tls` (ca_file, cert_file, key_file,
    /// server_name, insecure_skip_verify), `agent.peer.headers`, `agent.labels` and `agent.queue`
    /// (bytes_max, overflow, sync_every, batch_samples_max, batch_delay_max, lanes, retry_min,
    /// retry_max).
    Agent(AgentArgs),
    /// Ask a server a PromQL query.
    Query(QueryArgs),
    /// Show the queries a server works on, or end one of them.
    ///
    /// One a line: its number, whether it waits for a place or runs, seconds waited and run, series
    /// and samples looked at so far, the most memory it held, who asks, and the query. `slow` shows
    /// what took longer than `server.query_slow_after` lately, with its outcome; `kill 7` ends
    /// number 7, wherever it stands: its client gets an error.
    Queries(QueriesArgs),
    /// Show how a server's subsystems fare, and whose fault it is where they do not fare well.
    ///
    /// One a line: state, name, reason, and the subsystems below it that cause it. Exits with 1
    /// when anything is unhealthy, or nobody answers.
    Status(StatusArgs),
    /// Look after a store on disk: count, check, repair.
    #[command(subcommand)]
    Store(crate::store_cli::StoreCommand),
    /// Copy all that a server keeps to a new folder, while it runs; or verify such a copy.
    Backup(crate::backup::BackupArgs),
    /// Make a data folder of a backup, every byte verified.
    Restore(crate::backup::RestoreArgs),
    /// Show what a server refused lately: samples, lines and bodies, each with its reason.
    ///
    /// Newest first, one a line: when, the door it came by (scrape, remote_write, otlp, influx,
    /// json_lines, csv, ...), the reason, the series, value and time, and what else is known.
    /// Counts by door and reason are on the server's /metrics (alluse_refused_samples_total).
    Quarantine(QuarantineArgs),
    /// Look at the alerts that fire, and say that you know of one.
    #[command(subcommand)]
    Alerts(crate::notify_cli::AlertsCommand),
    /// Keep alerts from being told for a while.
    #[command(subcommand)]
    Silence(crate::notify_cli::SilenceCommand),
    /// Look after those who are told of alerts.
    #[command(subcommand)]
    Notify(crate::notify_cli::NotifyCommand),
    /// Check rules, run their tests, see those that come with the program.
    #[command(subcommand)]
    Rules(crate::rules_cli::RulesCommand),
    /// Look at a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Search for good parameters as a process: the ask/tell protocol on standard input and output.
    ///
    /// One JSON object a line, one reply to each:
    /// {"op":"init","space":[{"type":"float","name":"x","low":0,"high":1}],"budget":50,"seed":1},
    /// {"op":"ask"}, {"op":"tell","results":[{"id":1,"value":0.5}]}, {"op":"recommend"},
    /// {"op":"close"}. Types: float, int (both with "log"), bool, cat (with "choices", "ordered").
    #[command(verbatim_doc_comment)]
    Optimize {
        /// How to search.
        #[arg(long, default_value = "gp")]
        method: SearchMethod,
    },
    /// Print shell completions: `alluse completions bash > /etc/bash_completion.d/alluse`.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Run the ledger, the service that the demo tunes; see `alluse ledger -- --help`.
    Ledger {
        /// Stop when standard input closes: for a program that starts this one.
        #[arg(long, hide = true)]
        until_stdin_closes: bool,
        /// Its own arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// The search methods by their names on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SearchMethod {
    /// A Gaussian process in a trust region; races the leaders when values are noisy.
    Gp,
    /// Uniform random search: the yardstick.
    Random,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How long to tune.
    #[arg(long, default_value = "3m", value_parser = span)]
    pub(crate) duration: Duration,
    /// Fixes every random choice of the study, the trials and the load.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Transfers a second offered to the ledger; by default a share of what it is measured to
    /// hold with the knobs it starts with.
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<f64>,
    /// Where the dashboard listens.
    #[arg(long, default_value = "127.0.0.1:9400")]
    pub(crate) listen: SocketAddr,
    /// Keep the data here instead of a folder that goes with the demo.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Exit when the report is printed, instead of leaving everything running.
    #[arg(long)]
    pub(crate) once: bool,
    /// Write the report as JSON to a file ("-" for standard output).
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 takes a free one. [default: 127.0.0.1:9400]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Folder of the store and the journal. [default: ./alluse-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Configuration file (TOML). Everything in it is optional.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Scrape configuration in Prometheus's format; read again on SIGHUP and POST /-/reload.
    #[arg(long, value_name = "FILE")]
    pub(crate) prometheus_config: Option<PathBuf>,
    /// When stopped, also put back the values this run has kept.
    #[arg(long)]
    pub(crate) put_back: bool,
    /// Stop when standard input closes: for a program that starts this one.
    #[arg(long, hide = true)]
    pub(crate) until_stdin_closes: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AgentArgs {
    /// Where samples go, such as http://server:9400 or <https://mimir.example.org>; /api/v1/write is added.
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    /// Configuration file (TOML). Everything in it is optional.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the queue. [default: ./alluse-agent]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address of its own metrics and doors; port 0 takes a free one. [default: 127.0.0.1:9401]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Stop when standard input closes: for a program that starts this one.
    #[arg(long, hide = true)]
    pub(crate) until_stdin_closes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineArgs {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:9400", env = "ALLUSE_URL")]
    pub(crate) url: String,
    /// Only what came by this door, such as remote_write.
    #[arg(long)]
    pub(crate) door: Option<String>,
    /// Only what was refused for this reason, such as metric_limit.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// At most so many; 0 for all that are kept.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    /// Print the server's JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:9400", env = "ALLUSE_URL")]
    pub(crate) url: String,
    /// Print the server's JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// When a range is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Chart {
    /// On a terminal.
    Auto,
    Always,
    Never,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The query, such as `rate(node_cpu_seconds_total[1m])`.
    pub(crate) expression: String,
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:9400", env = "ALLUSE_URL")]
    pub(crate) url: String,
    /// Time of the answer: RFC 3339 or seconds since the Unix epoch. [default: now]
    #[arg(long, conflicts_with_all = ["start", "end", "step"])]
    pub(crate) time: Option<String>,
    /// A range: so long until its end, such as `1h`.
    #[arg(long, value_name = "SPAN", group = "range", conflicts_with_all = ["time", "start"])]
    pub(crate) last: Option<String>,
    /// First time of a range.
    #[arg(long, group = "range")]
    pub(crate) start: Option<String>,
    /// Last time of a range. [default: now]
    #[arg(long, requires = "range")]
    pub(crate) end: Option<String>,
    /// Step of a range, such as `15s`. [default: one of which there are at most 240]
    #[arg(long, requires = "range")]
    pub(crate) step: Option<String>,
    /// Draw a range, a line of bars for each series.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) chart: Chart,
    /// Do not run it: show its operators, and how many series and samples each selector would
    /// read. Series are counted, samples estimated.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Run it, and show its operators with what each one took: time with all below it and its own,
    /// series and points handed on, series and samples read. The answer itself is not shown.
    #[arg(long, conflicts_with = "explain")]
    pub(crate) analyze: bool,
    /// Print the server's JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QueriesArgs {
    #[command(subcommand)]
    pub(crate) act: Option<QueriesAct>,
    /// The server.
    #[arg(
        long,
        global = true,
        default_value = "http://127.0.0.1:9400",
        env = "ALLUSE_URL"
    )]
    pub(crate) url: String,
    /// Print the server's JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueriesAct {
    /// End a query that waits or runs.
    Kill {
        /// Its number, as the list shows it.
        id: String,
    },
    /// Show those that took long lately, the newest first.
    Slow,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Report every mistake of a configuration with its place and key; exit 2 if there is one.
    ///
    /// A file that ends in .yml or .yaml is read as Prometheus's, or as Alertmanager's if it has
    /// routes or receivers; so are those that `collect.prometheus_config` and
    /// `notify.alertmanager_file` name. Keys of them that have no effect here are explained.
    ///
    /// Flags win over the environment (ALLUSE__SERVER__LISTEN, ALLUSE__SERVER__DATA,
    /// ALLUSE__STORE__RETENTION, ALLUSE__GOVERNOR__TRUST, ALLUSE__GOVERNOR__SEED), the
    /// environment over the file, the file over the defaults.
    Check {
        /// The file.
        #[arg(default_value = "alluse.toml")]
        file: PathBuf,
        /// Print the mistakes as JSON.
        #[arg(long)]
        json: bool,
    },
}

fn span(text: &str) -> Result<Duration, String> {
    let span = crate::config::duration::parse(text)?;
    if span < MIN_DURATION {
        return Err(format!(
            "at least {MIN_DURATION:?}: a change takes that long to judge"
        ));
    }
    Ok(span)
}

/// Shortest demo: a trial with a clear effect takes about this long.
const MIN_DURATION: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_fits_together() {
        Cli::command().debug_assert();
    }
}
