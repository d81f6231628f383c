//! `alluse serve` and `alluse config check`.

use std::{io::Write, path::Path, sync::Arc};

use tokio::{
    io::AsyncReadExt,
    signal::unix::{SignalKind, signal},
};

use crate::{
    Failure,
    assemble::assemble,
    cli::ServeArgs,
    config::{self, Config, Mistake},
    lifecycle::{self, SystemClock},
};

/// Runs the server until SIGINT or SIGTERM.
pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let mut config = read(args.config.as_deref())?;
    config.server.listen = args.listen.unwrap_or(config.server.listen);
    if let Some(data) = args.data {
        config.server.data = data;
    }
    let assembly =
        assemble(config, Arc::new(SystemClock::new())).map_err(|error| Failure::of(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::of(&error))?;
    let ready = |address| {
        // The one line of standard output: a program that starts this one waits for it.
        let mut out = std::io::stdout();
        let said = writeln!(out, "alluse ready on http://{address}").and_then(|()| out.flush());
        if said.is_err() {
            tracing::debug!("nobody reads standard output");
        }
    };
    let served = runtime.block_on(lifecycle::run(
        assembly,
        args.put_back,
        ready,
        stop(args.until_stdin_closes),
    ));
    // Queries still running are not waited for.
    runtime.shutdown_background();
    served.map_err(|error| Failure::of(&error))
}

/// Resolves when the server should stop.
pub(crate) async fn stop(until_stdin_closes: bool) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be heard: stopping");
        return;
    };
    let stdin = async {
        if !until_stdin_closes {
            return std::future::pending().await;
        }
        let mut rest = Vec::new();
        if let Err(error) = tokio::io::stdin().read_to_end(&mut rest).await {
            tracing::debug!(%error, "standard input failed");
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stdin => {}
    }
}

/// The configuration of a file, or the defaults; the environment applied.
pub(crate) fn read(file: Option<&Path>) -> Result<Config, Failure> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|e| Failure::usage(format!("alluse: cannot read {}: {e}", file.display())))?,
        None => String::new(),
    };
    let name = file.map_or_else(|| "defaults".to_owned(), |f| f.display().to_string());
    config::read(&name, &text, &environment()).map_err(|mistakes| Failure::usage(list(&mistakes)))
}

fn environment() -> Vec<(String, String)> {
    let mut ours: Vec<(String, String)> = std::env::vars()
        .filter(|(name, _)| name.starts_with("ALLUSE__"))
        .collect();
    ours.sort();
    ours
}

fn list(mistakes: &[Mistake]) -> String {
    mistakes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Reports every mistake of a configuration.
pub(crate) fn check(file: &Path, json: bool) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Failure::usage(format!("alluse: cannot read {}: {e}", file.display())))?;
    let read = config::read(&file.display().to_string(), &text, &environment());
    let mistakes = read.err().unwrap_or_default();
    let shown = if json {
        let rows: Vec<_> = mistakes
            .iter()
            .map(|m| serde_json::json!({"place": m.place, "key": m.key, "message": m.message}))
            .collect();
        serde_json::to_string_pretty(&rows).expect("texts are JSON")
    } else if mistakes.is_empty() {
        format!("{}: no mistakes", file.display())
    } else {
        list(&mistakes)
    };
    let mut out = std::io::stdout();
    writeln!(out, "{shown}").map_err(|error| Failure::of(&error))?;
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(Failure::usage(""))
    }
}
