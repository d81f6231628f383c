//! The program: wires the stages, serves the API and the dashboard, and is the CLI.

mod agent;
mod alerts_cli;
mod api;
mod ask;
mod asking;
mod assemble;
mod backup;
mod capacity;
mod cli;
mod config;
mod demo;
mod driver;
mod exchange;
mod finding_series;
mod forward;
mod health;
mod helpers;
mod keep;
mod lifecycle;
mod mailbox;
mod measure;
mod notify_cli;
mod notifying;
mod optimize;
mod otlp_grpc;
mod pipeline;
mod quarantine;
mod queries;
mod queries_cli;
mod report;
mod rules_cli;
mod ruling;
mod scraping;
mod serve;
#[cfg(test)]
mod simulation;
mod status;
mod store_cli;
mod streams;
mod telemetry;
mod trial;
mod tuner;
mod ui;
mod view;
mod watched;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command, ConfigCommand, exit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The ledger sets up its own log.
    if !matches!(cli.command, Command::Ledger { .. }) {
        logging(cli.quiet);
    }
    let code = match cli.command {
        Command::Demo(args) => demo::run(&args, cli.quiet),
        Command::Serve(args) => serve::run(args),
        Command::Agent(args) => agent::run(args),
        Command::Query(args) => ask::run(&args),
        Command::Queries(args) => queries_cli::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Quarantine(args) => quarantine::run(&args),
        Command::Silence(command) => notify_cli::silence(command),
        Command::Alerts(command) => notify_cli::alerts(command),
        Command::Notify(command) => notify_cli::notify(command),
        Command::Optimize { method } => optimize::run(method),
        Command::Backup(args) => backup::run(&args, cli.quiet),
        Command::Restore(args) => backup::restore(&args, cli.quiet),
        Command::Store(command) => store_cli::run(&command, cli.quiet),
        Command::Rules(command) => rules_cli::run(&command),
        Command::Config(ConfigCommand::Check { file, json }) => serve::check(&file, json),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "alluse", &mut std::io::stdout());
            Ok(())
        }
        Command::Ledger {
            until_stdin_closes,
            arguments,
        } => ledger(until_stdin_closes, arguments),
    };
    match code {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("{}", failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}

/// Why a command failed, as a person should read it, with the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            code: exit::FAILED,
            message: message.into(),
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: exit::USAGE,
            message: message.into(),
        }
    }

    /// An error with all its causes.
    pub(crate) fn of(error: &dyn std::error::Error) -> Self {
        Self::new(format!("alluse: {}", api::problem::chain(error)))
    }
}

fn ledger(until_stdin_closes: bool, arguments: Vec<String>) -> Result<(), Failure> {
    if until_stdin_closes {
        let watch = std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(end_with_stdin);
        watch.map_err(|error| Failure::of(&error))?;
    }
    let code = ledger::cli::main_with(std::iter::once("ledger".to_owned()).chain(arguments));
    if code == ExitCode::SUCCESS {
        return Ok(());
    }
    Err(Failure::new(""))
}

/// When standard input closes, asks this very process to end, as an operator would.
fn end_with_stdin() {
    if let Err(error) = std::io::copy(&mut std::io::stdin(), &mut std::io::sink()) {
        tracing::debug!(%error, "standard input failed");
    }
    let asked =
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
    if let Err(error) = asked {
        tracing::error!(%error, "cannot ask this process to end");
    }
}

/// Logs go to standard error; `RUST_LOG` chooses more or less.
fn logging(quiet: bool) {
    let default = if quiet { "warn" } else { "info" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_unset| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
