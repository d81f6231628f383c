//! Benchmarks by name. Each is a program that prints its own figures; none asserts a time.
//! Results of one run are kept in `docs/benchmarks.md`.

mod query;
mod side_by_side;
mod store;

use crate::step::{Steps, cargo};

/// A benchmark: its name, what it measures, and the program that measures it.
struct Bench {
    name: &'static str,
    measures: &'static str,
    program: Program,
}

/// A program of a package, with arguments.
enum Program {
    /// In its `examples`.
    Example(&'static str, &'static str, &'static [&'static str]),
    /// In its `benches`.
    Bench(&'static str, &'static str, &'static [&'static str]),
    /// Part of this program; takes options.
    Here(fn(&Steps, &[String]) -> Result<(), String>),
}

/// The package whose examples drive the real program: it has to be built before.
const OUTSIDE: &str = "e2e";

const BENCHES: &[Bench] = &[
    Bench {
        name: "overhead",
        measures: "CPU per request of the ledger with ALL-USE on and off, in pairs",
        program: Program::Example(OUTSIDE, "measure", &["overhead"]),
    },
    Bench {
        name: "footprint",
        measures: "CPU and memory of the server at 1 s host sampling",
        program: Program::Example(OUTSIDE, "measure", &["footprint"]),
    },
    Bench {
        name: "query",
        measures: "ours, VictoriaMetrics and Prometheus: CPU of queries, hostile queries, memory",
        program: Program::Here(query::run),
    },
    Bench {
        name: "point",
        measures: "p50 and p99 of a point query through HTTP",
        program: Program::Example(OUTSIDE, "measure", &["query"]),
    },
    Bench {
        name: "ledger",
        measures: "durable transfers a second, p99 from the intended start, by group size",
        program: Program::Example(OUTSIDE, "measure", &["ledger"]),
    },
    Bench {
        name: "apply",
        measures: "proposal to applied and read back; breach to verified roll-back",
        program: Program::Example(OUTSIDE, "measure", &["apply"]),
    },
    Bench {
        name: "agent",
        measures: "bytes of the agent on the wire, what it uses, points/s it takes, latency",
        program: Program::Example(OUTSIDE, "measure", &["agent"]),
    },
    Bench {
        name: "store",
        measures: "ours, VictoriaMetrics and Prometheus: remote write, memory, disk, point queries",
        program: Program::Here(store::run),
    },
    Bench {
        name: "ingest",
        measures: "samples a CPU second through the store's port, memory a series",
        program: Program::Bench("store", "store", &["ingest"]),
    },
    Bench {
        name: "disk",
        measures: "bytes a sample on disk, of recorded metrics",
        program: Program::Bench("store", "store", &["size"]),
    },
    Bench {
        name: "promql",
        measures: "CPU time of queries by kind, in memory",
        program: Program::Bench("query", "engine", &[]),
    },
    Bench {
        name: "optimize",
        measures: "how good a configuration each method finds on measured tables",
        program: Program::Example("optimize", "tables", &["3"]),
    },
    Bench {
        name: "validate",
        measures: "how often, and how soon, the sequential test decides",
        program: Program::Example("validate", "rates", &[]),
    },
    Bench {
        name: "collect",
        measures: "CPU of sampling this host and of parsing exposition text",
        program: Program::Example("collect", "collect_cost", &[]),
    },
    Bench {
        name: "analyze",
        measures: "CPU of the detectors a sample, false alarms on noise",
        program: Program::Example("analyze", "evaluate", &["speed", "noise"]),
    },
    Bench {
        name: "knob",
        measures: "nanoseconds of reading a knob",
        program: Program::Example("knob", "read", &[]),
    },
    Bench {
        name: "load",
        measures: "CPU and punctuality of the load generator at 5,000 requests a second",
        program: Program::Example("load", "load_cost", &["5000"]),
    },
];

impl Bench {
    fn is_outside(&self) -> bool {
        matches!(self.program, Program::Example(OUTSIDE, ..))
    }

    /// Runs it with options of the user's, where it takes any.
    fn run(&self, steps: &Steps, options: &[String]) -> Result<(), String> {
        let (mut command, arguments) = match self.program {
            Program::Here(run) => return run(steps, options),
            Program::Example(package, name, arguments) => {
                let run = ["run", "--release", "--quiet", "-p", package];
                let mut command = cargo(run);
                command.args(["--example", name]);
                (command, arguments)
            }
            Program::Bench(package, name, arguments) => {
                let bench = ["bench", "--quiet", "-p", package, "--bench", name];
                (cargo(bench), arguments)
            }
        };
        if !options.is_empty() {
            return Err(format!("{} takes no options", self.name));
        }
        command.arg("--").args(arguments);
        steps.run(&format!("{}: {}", self.name, self.measures), command)
    }
}

/// Runs one benchmark, or all.
pub(crate) fn run(steps: &Steps, name: Option<&str>, options: &[String]) -> Result<(), String> {
    let chosen: Vec<&Bench> = BENCHES
        .iter()
        .filter(|b| name.is_none_or(|name| name == b.name))
        .collect();
    if chosen.is_empty() {
        return Err(format!("no such benchmark; there are:\n{}", list()));
    }
    if chosen.iter().any(|b| b.is_outside()) {
        let build = cargo(["build", "--release", "-p", "alluse"]);
        steps.run("build (release)", build)?;
    }
    for bench in chosen {
        bench.run(steps, options)?;
    }
    steps.report();
    Ok(())
}

fn list() -> String {
    let lines = BENCHES
        .iter()
        .map(|b| format!("  {:<10} {}", b.name, b.measures));
    lines.collect::<Vec<_>>().join("\n")
}
