//! `cargo xtask bench query`: queries over the same 14.4 million samples in our server and its
//! peers, HTTP and JSON included.
//!
//! How servers are compared: [`side_by_side`](super::side_by_side). All servers run at once and
//! are asked in turn, ours and VictoriaMetrics without their caches of results (`nocache=1`), which
//! Prometheus does not have; two rows at the end are with them. Answers must have as many series from each server. Hostile
//! queries come last: what a server still does with them would disturb the others.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use super::side_by_side::{
    Servers,
    figures::{Figure, Figures},
    http::escaped,
    peer::{Kind, Peer},
    process::now,
    workload::{Load, Shape},
};
use crate::step::Steps;

/// Compare the server with Prometheus and VictoriaMetrics: CPU of queries.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench query", bin_name = "cargo xtask bench query")]
struct Options {
    /// A sixth of the samples, one round: for a first look, not for a result.
    #[arg(long)]
    quick: bool,
    /// Rounds; medians are shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Servers to measure; all that are installed if not said.
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Kind>,
    /// Leave out the hostile queries.
    #[arg(long)]
    tame: bool,
    /// The figures as one JSON object on standard output.
    #[arg(long)]
    json: bool,
    /// This server instead of the release build of the working tree.
    #[arg(long, value_name = "PROGRAM")]
    alluse: Option<PathBuf>,
}

/// One row of the table.
struct Query {
    what: &'static str,
    text: &'static str,
    window: Window,
    /// How many series the answer has.
    series: usize,
    /// How often it is asked a round.
    times: usize,
}

/// At the end of the data, or until then.
#[derive(Clone, Copy)]
enum Window {
    Instant,
    /// Hours, and the step in seconds.
    Range(i64, i64),
    /// As a dashboard asks again and again: the same range, a step further each time, and with
    /// the cache of results that a server may have.
    Moving(i64, i64),
}

const HOUR: Window = Window::Range(1, 15);

const QUERIES: &[Query] = &[
    Query {
        what: "rate[5m], 1,000 series, 1 h at 15 s",
        text: "rate(node_network_transmit_bytes_total[5m])",
        window: HOUR,
        series: 1_000,
        times: 5,
    },
    Query {
        what: "sum by (instance)(rate), 2,000 series, 1 h at 15 s",
        text: "sum by (instance) (rate(node_cpu_seconds_total[5m]))",
        window: HOUR,
        series: 100,
        times: 5,
    },
    Query {
        what: "instant topk(10, rate), 2,000 series",
        text: "topk(10, rate(node_cpu_seconds_total[5m]))",
        window: Window::Instant,
        series: 10,
        times: 10,
    },
    Query {
        what: "avg by, 700 series, 6 h at 60 s",
        text: "avg by (region) (node_memory_numa_bytes)",
        window: Window::Range(6, 60),
        series: 3,
        times: 5,
    },
    Query {
        what: "count by regex over 8,800 series",
        text: r#"count({__name__=~"node_.*"})"#,
        window: Window::Instant,
        series: 1,
        times: 5,
    },
    Query {
        what: "instant sum(rate), 2,000 series",
        text: "sum(rate(node_cpu_seconds_total[5m]))",
        window: Window::Instant,
        series: 1,
        times: 10,
    },
    Query {
        what: "avg by (avg_over_time[1h]), 700 series, 6 h at 60 s",
        text: "avg by (instance) (avg_over_time(node_memory_numa_bytes[1h]))",
        window: Window::Range(6, 60),
        series: 100,
        times: 3,
    },
    Query {
        what: "quantile_over_time[1h], 700 series, instant",
        text: "quantile_over_time(0.9, node_memory_numa_bytes[1h])",
        window: Window::Instant,
        series: 700,
        times: 5,
    },
    Query {
        what: "again, a step on: rate[5m], 1,000 series, 1 h at 15 s",
        text: "rate(node_network_transmit_bytes_total[5m])",
        window: Window::Moving(1, 15),
        series: 1_000,
        times: 5,
    },
    Query {
        what: "again, a step on: sum by (instance)(rate), 2,000 series, 1 h at 15 s",
        text: "sum by (instance) (rate(node_cpu_seconds_total[5m]))",
        window: Window::Moving(1, 15),
        series: 100,
        times: 5,
    },
];

/// How often each of a hundred single series is asked for a round.
const POINT_QUERIES: usize = 500;
const POINT: &str = "instant, 1 series";

/// No verdict within this counts as this.
const PATIENCE: Duration = Duration::from_secs(10);

/// What no honest client asks: a name, and the form to post.
type Hostile = (&'static str, fn() -> Vec<(&'static str, String)>);

const HOSTILE: &[Hostile] = &[
    ("20 KB of 1+1+...", || instant("1+".repeat(10_000) + "1")),
    ("1 MB of 1+1+...", || instant("1+".repeat(500_000) + "1")),
    ("500 KB of abs(abs(...", || instant("abs(".repeat(125_000))),
    ("a range of 10^9 points", || {
        let pairs = [("start", "0"), ("end", "1000000000"), ("step", "1")];
        let pairs = pairs.map(|(key, value)| (key, value.to_owned()));
        [vec![("query", "vector(1)".to_owned())], pairs.to_vec()].concat()
    }),
    ("a subquery of 10^9 points", || {
        instant("count_over_time(vector(1)[1000000000s:1s])".to_owned())
    }),
];

fn instant(text: String) -> Vec<(&'static str, String)> {
    vec![("query", text)]
}

/// Measures what the options ask for.
pub(super) fn run(steps: &Steps, arguments: &[String]) -> Result<(), String> {
    let name = "cargo xtask bench query".to_owned();
    let options = Options::try_parse_from(std::iter::once(&name).chain(arguments));
    let options = match options {
        Ok(options) => options,
        Err(wrong) if wrong.use_stderr() => return Err(wrong.to_string()),
        Err(help) => return help.print().map_err(|e| e.to_string()),
    };
    let servers = Servers::new(steps, &options.peers, options.alluse.clone())?;
    let shape = if options.quick {
        Shape::FAMILIES.sixth()
    } else {
        Shape::FAMILIES
    };
    let load = Load::new(shape);
    let mut running = Vec::new();
    for kind in servers.in_turn(0) {
        let peer = servers.start(kind)?;
        peer.take(&load)?;
        peer.process().forget_peak()?;
        running.push(peer);
    }
    let mut figures = Figures::default();
    let rounds = if options.quick { 1 } else { options.rounds };
    // The first round warms up.
    for round in 0..=rounds {
        for peer in &running {
            asked(peer, &load, (round > 0).then_some(&mut figures))?;
        }
        running.rotate_left(1);
    }
    for peer in &running {
        let peak = peer.process().memory_bytes("VmHWM")?;
        figures.add(Figure::AskedPeakMiB, peer.kind, mib(peak));
    }
    if !options.tame {
        for peer in running {
            hostile(&peer, &mut figures)?;
        }
    }
    figures.tell(options.json);
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// All rows once.
fn asked(peer: &Peer, load: &Load, mut figures: Option<&mut Figures>) -> Result<(), String> {
    let mut add = |place, what, value| {
        if let Some(figures) = figures.as_deref_mut() {
            figures.add(Figure::Asked(place, what), peer.kind, value);
        }
    };
    let paths: Vec<String> = load
        .point_queries()
        .iter()
        .map(|text| path(peer.kind, text, Window::Instant, load.end_s()))
        .collect();
    add(0, POINT, cost(peer, &paths, POINT_QUERIES, 1)?);
    for (place, query) in (1..).zip(QUERIES) {
        let path = |end_s| path(peer.kind, query.text, query.window, end_s);
        let paths: Vec<String> = match query.window {
            Window::Instant | Window::Range(..) => vec![path(load.end_s())],
            Window::Moving(_, step) => (0..query.times as i64)
                .rev()
                .map(|ago| path(load.end_s() - ago * step))
                .collect(),
        };
        let cost = cost(peer, &paths, query.times, query.series)?;
        add(place, query.what, cost);
    }
    Ok(())
}

fn path(kind: Kind, text: &str, window: Window, end_s: i64) -> String {
    let query = escaped(text);
    let times = match window {
        Window::Instant => format!("query?query={query}&time={end_s}"),
        Window::Range(hours, step) | Window::Moving(hours, step) => {
            let start = end_s - hours * 3_600;
            format!("query_range?query={query}&start={start}&end={end_s}&step={step}")
        }
    };
    let nocache = match (kind, window) {
        (Kind::Prometheus, _) | (_, Window::Moving(..)) => "",
        (Kind::Alluse | Kind::Victoriametrics, _) => "&nocache=1",
    };
    format!("/api/v1/{times}{nocache}")
}

/// CPU milliseconds of one of these requests; each must answer so many series.
fn cost(peer: &Peer, paths: &[String], times: usize, series: usize) -> Result<f64, String> {
    let mut connection = peer.connect()?;
    let before = peer.process().threads_ns()?;
    let mut bodies = Vec::new();
    for path in paths.iter().cycle().take(times) {
        let (status, body) = connection.get(path)?;
        if status != 200 {
            let (name, text) = (peer.kind.name(), String::from_utf8_lossy(&body));
            return Err(format!("{name} answers {path} with {status}: {text}"));
        }
        bodies.push(body);
    }
    let spent = peer.process().threads_ns()?.ms_since(&before);
    for body in bodies {
        let found = body.windows(9).filter(|w| w == b"\"metric\":").count();
        if found != series {
            let name = peer.kind.name();
            return Err(format!("{name}: {found} series of {series} for {paths:?}"));
        }
    }
    Ok(spent / times as f64)
}

/// Asks what nobody should, and how the server takes it.
fn hostile(peer: &Peer, figures: &mut Figures) -> Result<(), String> {
    const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (place, (what, form)) in HOSTILE.iter().enumerate() {
        let pairs = form().into_iter();
        let route = if pairs.clone().any(|(key, _)| key == "start") {
            "query_range"
        } else {
            "query"
        };
        let form: Vec<String> = pairs.map(|(k, v)| format!("{k}={}", escaped(&v))).collect();
        let resident = peer.process().memory_bytes("VmRSS")?;
        peer.process().forget_peak()?;
        let mut connection = peer.connect()?;
        connection.patience(PATIENCE)?;
        let begun = now();
        let reply = connection.post(&format!("/api/v1/{route}"), FORM, form.join("&").as_bytes());
        let took = begun.elapsed().min(PATIENCE);
        let peak = peer.process().memory_bytes("VmHWM")?;
        let verdict = reply.map_or_else(|_silence| "no answer".to_owned(), |(s, _)| s.to_string());
        eprintln!("  {:<16} {what}: {verdict}", peer.kind.name());
        let took = took.as_secs_f64() * 1_000.0;
        figures.add(Figure::HostileMs(place, what), peer.kind, took);
        let grown = mib(peak.saturating_sub(resident));
        figures.add(Figure::HostileMiB(place, what), peer.kind, grown);
    }
    Ok(())
}
