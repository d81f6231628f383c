//! `alluse serve` and `alluse config check`.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use collect::{
    http::Reach,
    prometheus_config::{self, Note, PrometheusConfig, Weight},
};

use tokio::{
    io::AsyncReadExt,
    signal::unix::{SignalKind, signal},
};

use crate::{
    Failure,
    assemble::assemble,
    cli::ServeArgs,
    config::{self, Config, alertmanager_yml},
    lifecycle::{self, SystemClock},
    ruling,
    scraping::{self, Scraping},
};

/// Runs the server until SIGINT or SIGTERM.
pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let mut config = read(args.config.as_deref())?;
    config.server.listen = args.listen.unwrap_or(config.server.listen);
    if let Some(data) = args.data {
        config.server.data = data;
    }
    if let Some(file) = args.prometheus_config {
        config.collect.prometheus_config = Some(file);
    }
    let prometheus = read_jobs(&mut config)?;
    read_rules(&mut config, prometheus.as_ref())?;
    let notices = config
        .notify
        .load()
        .map_err(|notes| Failure::usage(list(&notes)))?;
    scraping::log_notify(&notices);
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
    runtime.spawn(reload_on_signal(Arc::clone(&assembly.app.scraping)));
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

/// SIGHUP: the scrape configuration is read again.
async fn reload_on_signal(scraping: Arc<Scraping>) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be heard");
        return;
    };
    while hangups.recv().await.is_some() {
        let scraping = Arc::clone(&scraping);
        // How it went is logged and counted where it happens.
        let read = tokio::task::spawn_blocking(move || scraping.reload()).await;
        tracing::debug!(?read, "SIGHUP");
    }
}

/// The configuration of a file, or the defaults; the environment applied.
pub(crate) fn read(file: Option<&Path>) -> Result<Config, Failure> {
    read_config(file).map_err(|mistakes| Failure::usage(list(&mistakes)))
}

/// The same; mistakes as lines.
pub(crate) fn read_config(file: Option<&Path>) -> Result<Config, Vec<String>> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|e| vec![format!("alluse: cannot read {}: {e}", file.display())])?,
        None => String::new(),
    };
    let name = file.map_or_else(|| "defaults".to_owned(), |f| f.display().to_string());
    let lines = |mistakes: Vec<config::Mistake>| -> Vec<String> {
        mistakes.iter().map(ToString::to_string).collect()
    };
    let mut config = config::read(&name, &text, &environment()).map_err(lines)?;
    config.file = file.map(Path::to_path_buf);
    config.collect.prometheus_config = beside(file, config.collect.prometheus_config);
    ruling::beside(file.and_then(Path::parent), &mut config.rules.files);
    Ok(config)
}

/// Reads the jobs of the Prometheus configuration that is named, if one is.
pub(crate) fn read_jobs(config: &mut Config) -> Result<Option<PrometheusConfig>, Failure> {
    let Some(file) = &config.collect.prometheus_config else {
        return Ok(None);
    };
    let read = scraping::load(file).map_err(|notes| Failure::usage(list(&notes)))?;
    config.collect.jobs.clone_from(&read.jobs);
    config.collect.external_labels = read.external_labels.iter().cloned().collect();
    config.collect.alerting.clone_from(&read.alerting);
    Ok(Some(read))
}

/// Reads every rule file that is named.
fn read_rules(config: &mut Config, prometheus: Option<&PrometheusConfig>) -> Result<(), Failure> {
    let loaded = ruling::load(&config.rules, prometheus);
    config.rules.loaded = loaded.map_err(|notes| Failure::usage(list(&notes)))?;
    scraping::log_rules(&config.rules.loaded);
    Ok(())
}

/// A path said in a file, relative to the folder of that file.
fn beside(file: Option<&Path>, said: Option<PathBuf>) -> Option<PathBuf> {
    let folder = file.and_then(Path::parent);
    said.map(|path| folder.map_or(path.clone(), |folder| folder.join(path)))
}

fn environment() -> Vec<(String, String)> {
    let mut ours: Vec<(String, String)> = std::env::vars()
        .filter(|(name, _)| name.starts_with("ALLUSE__"))
        .collect();
    ours.sort();
    ours
}

fn list(mistakes: &[impl ToString]) -> String {
    mistakes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// One thing to say about a configuration.
struct Said {
    place: String,
    key: String,
    message: String,
    is_mistake: bool,
}

/// Reports every mistake of a configuration, and of the files it names; in the latter also the
/// keys that have no effect.
pub(crate) fn check(file: &Path, json: bool) -> Result<(), Failure> {
    let is_yaml = file.extension().is_some_and(|e| e == "yml" || e == "yaml");
    let said = if is_yaml {
        check_yaml(file)
    } else {
        check_own(file)?
    };
    let mistakes = said.iter().filter(|said| said.is_mistake).count();
    let mut out = std::io::stdout();
    let shown = if json {
        as_json(&said)
    } else {
        as_text(file, &said)
    };
    writeln!(out, "{shown}").map_err(|error| Failure::of(&error))?;
    if mistakes == 0 {
        Ok(())
    } else {
        Err(Failure::usage(""))
    }
}

fn check_own(file: &Path) -> Result<Vec<Said>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Failure::usage(format!("alluse: cannot read {}: {e}", file.display())))?;
    match config::read(&file.display().to_string(), &text, &environment()) {
        Err(mistakes) => Ok(mistakes
            .into_iter()
            .map(|mistake| Said {
                place: mistake.place,
                key: mistake.key,
                message: mistake.message,
                is_mistake: true,
            })
            .collect()),
        Ok(mut config) => {
            let named = beside(Some(file), config.collect.prometheus_config);
            let mut said = named.as_deref().map_or_else(Vec::new, check_prometheus);
            ruling::beside(file.parent(), &mut config.rules.files);
            said.extend(check_rules(&config.rules, named.as_deref()));
            let notes = config.notify.load().unwrap_or_else(|mistakes| mistakes);
            said.extend(notes.into_iter().map(said_of));
            Ok(said)
        }
    }
}

/// Prometheus's file, or Alertmanager's.
fn check_yaml(file: &Path) -> Vec<Said> {
    let root = prometheus_config::read_yaml(file);
    if !root.is_ok_and(|root| alertmanager_yml::is_one(&root)) {
        return check_prometheus(file);
    }
    let read = alertmanager_yml::read_file(file, Reach::NotLinkLocal);
    let notes = read.map_or_else(|mistakes| mistakes, |read| read.notices);
    notes.into_iter().map(said_of).collect()
}

fn check_prometheus(file: &Path) -> Vec<Said> {
    let notes = match prometheus_config::read_file(file) {
        Ok(config) => config.notices,
        Err(mistakes) => mistakes,
    };
    notes.into_iter().map(said_of).collect()
}

fn said_of(note: Note) -> Said {
    Said {
        place: format!("{}:{}:{}", note.file, note.at.line, note.at.column),
        is_mistake: note.weight == Weight::Mistake,
        key: note.key,
        message: note.message,
    }
}

/// The rule files that a configuration and its `prometheus.yml` name.
fn check_rules(rules: &config::rules::Rules, prometheus: Option<&Path>) -> Vec<Said> {
    let read = prometheus.map(prometheus_config::read_file);
    let prometheus = read.and_then(Result::ok);
    let notes = match ruling::load(rules, prometheus.as_ref()) {
        Ok(loaded) => loaded.notices,
        Err(mistakes) => mistakes,
    };
    notes.into_iter().map(said_of).collect()
}

fn as_json(said: &[Said]) -> String {
    let row = |said: &Said| {
        let weight = if said.is_mistake { "mistake" } else { "notice" };
        serde_json::json!({
            "place": said.place, "key": said.key, "message": said.message, "weight": weight,
        })
    };
    let rows: Vec<_> = said.iter().map(row).collect();
    serde_json::to_string_pretty(&rows).expect("texts are JSON")
}

fn as_text(file: &Path, said: &[Said]) -> String {
    let line = |said: &Said| {
        let colon = if said.key.is_empty() { "" } else { ": " };
        format!("{}: {}{colon}{}", said.place, said.key, said.message)
    };
    let mut lines: Vec<String> = said.iter().map(line).collect();
    if !said.iter().any(|said| said.is_mistake) {
        lines.push(format!("{}: no mistakes", file.display()));
    }
    lines.join("\n")
}
