//! `alluse demo`: the closed loop on a real service under real load.
//!
//! Three processes: the ledger (SQLite, durable commits), the server that tunes it, and this one,
//! which is the load and tells the story. Everything is done through public interfaces. At the
//! end the server puts the ledger's knobs back, the ledger confirms it, and nothing stays behind.

mod child;
mod harm;
mod load;
mod print;
mod server;
mod settings;

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use child::Program;
use load::Calibration;
use model::Clock;
use print::Terminal;
use serde::Serialize;
use server::Server;
use wire::control::{Change, ProposalRequest, Report};

use crate::{Failure, cli::DemoArgs, cli::exit, lifecycle::SystemClock};

/// How often the server is asked what is new.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// After the load begins, so long until the ledger is warm and the server knows its knobs.
const WARM_UP: Duration = Duration::from_secs(4);

/// A change under way when the time is up may still end by itself, for so long.
const LAST_CHANGE: Duration = Duration::from_secs(120);

/// What the demo reports as JSON.
#[derive(Debug, Serialize)]
struct Outcome {
    /// The server's own report: every change with verdict, effect, interval and read-back.
    report: Report,
    /// What the ledger was measured to hold, and what was offered.
    load: Calibration,
    /// The load as its client saw it, warm-up included.
    client: ::load::Snapshot,
    /// The harmful proposal and its end.
    harm: Option<Harm>,
    /// Whether the ledger showed every knob at its default, without a lease, at the very end.
    knobs_put_back: bool,
    /// Whether the loop did its work: changes were judged, harm was undone and read back, and
    /// everything was put back.
    loop_did_its_work: bool,
}

/// What became of the harmful proposal.
#[derive(Debug, Serialize)]
struct Harm {
    change: u64,
    state: String,
    guard: Option<String>,
    /// Old values read back after the roll-back.
    verified: bool,
    /// From the admission to the verified roll-back, ms.
    total_ms: Option<i64>,
    /// From the breach to the verified roll-back, ms.
    rollback_ms: Option<u64>,
}

/// Runs the demo.
pub(crate) fn run(args: &DemoArgs, quiet: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::of(&error))?;
    let done = runtime.block_on(demo(args, quiet));
    runtime.shutdown_background();
    done
}

async fn demo(args: &DemoArgs, quiet: bool) -> Result<(), Failure> {
    let terminal = Terminal::new(quiet);
    let folder = Folder::new(args.data.as_deref())?;
    let mut stage = tokio::select! {
        stage = Stage::set(args, &terminal, &folder.path) => stage?,
        () = interrupted() => return Err(by_ctrl_c()),
    };
    let story = tokio::select! {
        story = stage.tell(args, &terminal) => story,
        () = interrupted() => Err(by_ctrl_c()),
    };
    terminal.end();
    if story.is_ok() && !args.once {
        terminal.say(format!(
            "\nThe dashboard stays at {} until Ctrl-C.",
            stage.alluse.url
        ));
        interrupted().await;
    }
    terminal.step("putting the ledger's knobs back, ending every program");
    let knobs_put_back = stage.end(&terminal).await;
    let outcome = story?.ended(knobs_put_back);
    if let Some(file) = &args.json {
        write_json(file, &outcome)?;
    }
    if !outcome.loop_did_its_work {
        let logs = folder.keep().display().to_string();
        return Err(Failure::new(format!(
            "alluse demo: the loop did not do all of its work; logs are in {logs}"
        )));
    }
    Ok(())
}

fn by_ctrl_c() -> Failure {
    Failure {
        code: exit::INTERRUPTED,
        message: String::new(),
    }
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!(%error, "Ctrl-C cannot be heard");
        std::future::pending::<()>().await;
    }
}

fn write_json(file: &Path, outcome: &Outcome) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(outcome).expect("a report is JSON");
    let written = if file == Path::new("-") {
        writeln!(std::io::stdout(), "{json}")
    } else {
        std::fs::write(file, json)
    };
    written.map_err(|e| Failure::new(format!("alluse: cannot write {}: {e}", file.display())))
}

/// The folder of the demo's data; a temporary one goes with it.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn new(said: Option<&Path>) -> Result<Self, Failure> {
        let temporary = said.is_none();
        let own = || std::env::temp_dir().join(format!("alluse-demo-{}", std::process::id()));
        let path = said.map_or_else(own, Path::to_owned);
        std::fs::create_dir_all(&path)
            .map_err(|e| Failure::new(format!("alluse: cannot make {}: {e}", path.display())))?;
        Ok(Self { path, temporary })
    }

    /// The folder stays, for a person to look.
    fn keep(mut self) -> PathBuf {
        self.temporary = false;
        self.path.clone()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, folder = %self.path.display(), "cannot be removed");
        }
    }
}

/// What was told, before everything was put back.
#[derive(Debug)]
struct Story {
    report: Report,
    load: Calibration,
    client: ::load::Snapshot,
    harm: Option<Harm>,
}

impl Story {
    fn ended(self, knobs_put_back: bool) -> Outcome {
        let judged = self.report.changes.iter().any(|c| c.verdict.is_some());
        let undone = self
            .harm
            .as_ref()
            .is_some_and(|h| h.state == "undone" && h.verified);
        Outcome {
            report: self.report,
            load: self.load,
            client: self.client,
            harm: self.harm,
            knobs_put_back,
            loop_did_its_work: judged && undone && knobs_put_back,
        }
    }
}

/// Everything that runs.
#[derive(Debug)]
struct Stage {
    ledger: Program,
    alluse: Program,
    server: Server,
    load: ::load::Handle,
    calibration: Calibration,
    clock: Arc<dyn Clock>,
}

impl Stage {
    /// Starts the ledger, measures what it holds, starts the load and the server.
    async fn set(args: &DemoArgs, terminal: &Terminal, folder: &Path) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        terminal.step("starting the ledger on SQLite, with durable commits");
        let ledger = start_ledger(folder).await?;
        terminal.step("measuring what it holds with the knobs it starts with");
        let calibration = match args.rate {
            Some(rate) => Calibration {
                capacity: None,
                rate,
            },
            None => load::calibrate(&ledger.url, args.seed, &clock).await?,
        };
        if let Some(capacity) = calibration.capacity {
            terminal.say(format!(
                "  it completes {capacity:.0} requests/s; {:.0} are offered from now on",
                calibration.rate
            ));
        }
        let ids = (args.seed, clock.wall_ms().unsigned_abs());
        let load = load::start(&ledger.url, ids, calibration.rate, Arc::clone(&clock))?;
        let metrics = load::serve_metrics(load.clone()).await?;
        terminal.step("warming up");
        tokio::time::sleep(WARM_UP).await;
        let mean_s = load::mean_transfer_s(&load.interval()).ok_or_else(|| {
            Failure::new("alluse demo: no transfer was completed while warming up")
        })?;
        let slo_s = settings::slo_s(mean_s);
        terminal.say(format!(
            "  a transfer takes {:.1} ms; a guard will hold it below {:.1} ms",
            1e3 * mean_s,
            1e3 * slo_s
        ));
        terminal.step("starting the server");
        let urls = (ledger.url.as_str(), metrics.as_str());
        let config = settings::toml(args.listen, &folder.join("alluse"), args.seed, urls, slo_s);
        let alluse = start_alluse(folder, &config).await?;
        terminal.say(format!("\n  Dashboard: {}\n", alluse.url));
        let server = Server::new(&alluse.url);
        Ok(Self {
            ledger,
            alluse,
            server,
            load,
            calibration,
            clock,
        })
    }

    /// Tunes for the time given, then lets a person propose harm, then reports.
    async fn tell(&mut self, args: &DemoArgs, terminal: &Terminal) -> Result<Story, Failure> {
        terminal.step(&format!("tuning for {:.0} s", args.duration.as_secs_f64()));
        terminal.begin(args.duration);
        let mut told = Told::default();
        let begun = self.clock.monotonic();
        while self.clock.monotonic() - begun < args.duration {
            tokio::time::sleep(LOOK_EVERY).await;
            let status = self.look(&mut told, terminal).await?;
            terminal.progress(self.clock.monotonic() - begun, &status);
        }
        for study in self.server.studies().await? {
            self.server.stop_study(study.id).await?;
        }
        self.settle(&mut told, terminal).await?;
        let harm = self.harm(&mut told, terminal).await?;
        let report = self.server.report().await?;
        terminal.end();
        terminal.say(print::report(&report));
        Ok(Story {
            report,
            load: self.calibration,
            client: self.load.total(),
            harm,
        })
    }

    /// Tells what is new; fails when a program has died.
    async fn look(
        &mut self,
        told: &mut Told,
        terminal: &Terminal,
    ) -> Result<wire::control::Status, Failure> {
        for (name, program) in [
            ("the ledger", &mut self.ledger),
            ("the server", &mut self.alluse),
        ] {
            if !program.runs() {
                return Err(Failure::new(format!(
                    "alluse demo: {name} has ended by itself"
                )));
            }
        }
        let mut changes = self.server.changes().await?;
        changes.reverse();
        told.tell(&changes, terminal);
        self.server.status().await
    }

    /// Waits until no change is under way.
    async fn settle(&mut self, told: &mut Told, terminal: &Terminal) -> Result<(), Failure> {
        let deadline = self.clock.monotonic() + LAST_CHANGE;
        while self.clock.monotonic() < deadline {
            self.look(told, terminal).await?;
            let changes = self.server.changes().await?;
            if changes.iter().all(|c| is_end(&c.state)) {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Proposes harm through the API, as a person would, and watches it being undone.
    async fn harm(
        &mut self,
        told: &mut Told,
        terminal: &Terminal,
    ) -> Result<Option<Harm>, Failure> {
        terminal.step("a harmful proposal, made through the API as a person would");
        let targets = self.server.targets().await?;
        let knobs = targets
            .first()
            .map(|t| t.knobs.as_slice())
            .unwrap_or_default();
        let proposal = ProposalRequest {
            target: "ledger".to_owned(),
            values: harm::values(knobs),
            reason: "let commits wait for each other, so that their groups fill".to_owned(),
            by: Some("a person".to_owned()),
        };
        let deadline = self.clock.monotonic() + LAST_CHANGE;
        let id = loop {
            let decision = self.server.propose(&proposal).await?;
            match decision.change {
                Some(change) => break change,
                None if decision.ruling == "defer" && self.clock.monotonic() < deadline => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                None => {
                    terminal.say(format!("  {}: {}", decision.ruling, decision.message));
                    return Ok(None);
                }
            }
        };
        self.settle(told, terminal).await?;
        let change = self.server.change(id).await?;
        Ok(Some(Harm {
            change: id,
            total_ms: change.ended_ms.map(|ended| ended - change.begun_ms),
            guard: change.breach.map(|b| b.guard),
            rollback_ms: change.rollback_ms,
            verified: change.verified,
            state: change.state,
        }))
    }

    /// Ends everything in order; whether the ledger's knobs are where they began.
    async fn end(self, terminal: &Terminal) -> bool {
        let server_ended = self.alluse.end().await;
        let at_default = server::knobs_at_default(&self.ledger.url)
            .await
            .unwrap_or(false);
        terminal.say(if at_default {
            "  the ledger shows every knob at its default again, and no lease"
        } else {
            "  the ledger does NOT show every knob at its default"
        });
        self.load.stop();
        let ledger_ended = self.ledger.end().await;
        if !(server_ended && ledger_ended) {
            terminal.say("  a program did not end well; see its log");
        }
        at_default
    }
}

/// Changes already told of, with the state told last.
#[derive(Debug, Default)]
struct Told(BTreeMap<u64, String>);

impl Told {
    fn tell(&mut self, changes: &[Change], terminal: &Terminal) {
        for change in changes {
            let known = self.0.insert(change.id, change.state.clone());
            if known.is_none() {
                terminal.say(print::begun(change));
            }
            if is_end(&change.state) && known.as_deref().is_none_or(|k| !is_end(k)) {
                terminal.say(print::ended(change));
            }
        }
    }
}

fn is_end(state: &str) -> bool {
    ["kept", "undone", "refused", "expired", "failed"].contains(&state)
}

async fn start_ledger(folder: &Path) -> Result<Program, Failure> {
    let arguments = [
        "ledger".to_owned(),
        "--until-stdin-closes".to_owned(),
        "serve".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        format!("--data={}", folder.join("ledger").display()),
        format!("--seed-accounts={}", load::ACCOUNTS),
        format!("--seed-weeks={}", load::WEEKS),
    ];
    Program::start("ledger", &arguments, &folder.join("ledger.log")).await
}

async fn start_alluse(folder: &Path, config: &str) -> Result<Program, Failure> {
    let file = folder.join("alluse.toml");
    std::fs::write(&file, config)
        .map_err(|e| Failure::new(format!("alluse: cannot write {}: {e}", file.display())))?;
    let arguments = [
        "serve".to_owned(),
        format!("--config={}", file.display()),
        "--put-back".to_owned(),
        "--until-stdin-closes".to_owned(),
    ];
    Program::start("server", &arguments, &folder.join("alluse.log")).await
}
