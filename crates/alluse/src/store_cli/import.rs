//! `alluse store import`: samples from files, into a folder or a server.
//!
//! A file is read in pieces of whole lines. A piece goes through the same readers that serve
//! `/api/v1/import` and scrapes, so a file means the same here and there.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use collect::{
    exposition::{self, Parser},
    receive::{Limits, Receiver, Request},
};
use model::{Batch, Clock as _, Durability, Sample, SampleSink as _, Series};
use store::Store;

use super::{bytes_bar, store_folder};
use crate::{Failure, exchange, lifecycle::SystemClock};

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The data folder of a server that is stopped, or the store in it (made if it is not there;
    /// left out with --url); then the file, "-" for standard input.
    #[arg(value_names = ["DIR", "FILE"], num_args = 1..=2, required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// A running server to send to.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// What the file is; by default what its name ends in.
    #[arg(long)]
    pub(crate) format: Option<Format>,
}

/// What can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A series a line, as exported, or by VictoriaMetrics.
    Jsonl,
    /// A sample a row; the first row names the columns.
    Csv,
    /// OpenMetrics text with times, as `promtool tsdb dump-openmetrics` writes it.
    Openmetrics,
}

/// Bytes of lines handled at a time: well within what a receiver takes at once.
const PIECE_BYTES: usize = 1 << 20;
/// Mistakes quoted.
const QUOTED_MAX: usize = 10;

#[derive(Debug, Default)]
struct Told {
    stored: u64,
    refused: u64,
    why: Vec<String>,
}

impl Told {
    fn quote(&mut self, why: String) {
        if self.why.len() < QUOTED_MAX && !self.why.contains(&why) {
            self.why.push(why);
        }
    }
}

pub(super) fn run(args: &ImportArgs, quiet: bool) -> Result<(), Failure> {
    let (dir, file) = match (args.paths.as_slice(), &args.url) {
        ([dir, file], None) => (Some(dir), file),
        ([file], Some(_)) => (None, file),
        (_, None) => return Err(Failure::usage("alluse: store import DIR FILE")),
        (_, Some(_)) => return Err(Failure::usage("alluse: store import --url URL FILE")),
    };
    let format = args.format.or_else(|| by_name(file)).ok_or_else(|| {
        Failure::usage("alluse: say what the file is: --format jsonl, csv or openmetrics")
    })?;
    let bar = bytes_bar("importing", quiet);
    let mut lines: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let open = fs::File::open(file)
            .map_err(|e| Failure::usage(format!("alluse: cannot read {}: {e}", file.display())))?;
        bar.set_length(open.metadata().map_or(0, |m| m.len()));
        Box::new(BufReader::new(open))
    };
    let to = match (dir, &args.url) {
        (None, Some(url)) => To::Server(Server::new(url)?),
        (dir, _) => To::Folder(Box::new(Folder::open(dir.expect("matched above"))?)),
    };
    let mut told = Told::default();
    let mut pieces = Pieces::new(format);
    while let Some(piece) = pieces.next(&mut *lines).map_err(|e| Failure::of(&e))? {
        bar.inc(piece.len() as u64);
        to.take(format, &piece, &mut told)?;
    }
    to.finish()?;
    bar.finish_and_clear();
    super::print(&format!(
        "{} samples stored, {} refused",
        told.stored, told.refused
    ))?;
    if told.refused == 0 && told.why.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "alluse: not everything was stored:\n  {}",
        told.why.join("\n  ")
    )))
}

fn by_name(file: &Path) -> Option<Format> {
    match file.extension()?.to_str()? {
        "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
        "csv" => Some(Format::Csv),
        "om" | "prom" | "openmetrics" | "txt" => Some(Format::Openmetrics),
        _ => None,
    }
}

/// A file as pieces of whole lines, each readable alone.
struct Pieces {
    format: Format,
    /// The first row of a CSV file.
    head: Vec<u8>,
    first: bool,
}

impl Pieces {
    fn new(format: Format) -> Self {
        Self {
            format,
            head: Vec::new(),
            first: true,
        }
    }

    fn next(&mut self, lines: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
        if std::mem::take(&mut self.first) && self.format == Format::Csv {
            lines.read_until(b'\n', &mut self.head)?;
        }
        let mut piece = self.head.clone();
        let start = piece.len();
        while piece.len() < PIECE_BYTES && lines.read_until(b'\n', &mut piece)? > 0 {}
        if piece.len() == start {
            return Ok(None);
        }
        if self.format == Format::Openmetrics {
            // Comments may end a family that goes on in the next piece: only samples are taken.
            piece = without_comments(&piece);
            piece.extend_from_slice(b"# EOF\n");
        }
        Ok(Some(piece))
    }
}

fn without_comments(text: &[u8]) -> Vec<u8> {
    let samples = text
        .split_inclusive(|b| *b == b'\n')
        .filter(|line| !line.starts_with(b"#"));
    let mut kept = samples.collect::<Vec<_>>().concat();
    if kept.last().is_some_and(|b| *b != b'\n') {
        kept.push(b'\n');
    }
    kept
}

/// Reads OpenMetrics text; samples without a time are refused.
fn open_metrics(parser: &mut Parser, piece: &[u8], told: &mut Told) -> Result<Batch, Failure> {
    let parsed = parser.parse(exposition::Format::OpenMetrics, piece);
    let samples = parsed.map_err(|e| Failure::of(&e))?.samples.clone();
    let mut batch = Batch::default();
    for sample in samples {
        let labels = parser.labels(sample.slot).clone();
        match sample.time_ms {
            Some(time_ms) => batch
                .samples
                .push(Sample::float(labels, time_ms, sample.value)),
            None => {
                told.refused += 1;
                told.quote(format!("{labels} has no time"));
            }
        }
    }
    Ok(batch)
}

/// Where samples go.
enum To {
    Folder(Box<Folder>),
    Server(Server),
}

impl To {
    fn take(&self, format: Format, piece: &[u8], told: &mut Told) -> Result<(), Failure> {
        match self {
            Self::Folder(folder) => folder.take(format, piece, told),
            Self::Server(server) => server.take(format, piece, told),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Folder(folder) => folder.finish(),
            Self::Server(_) => Ok(()),
        }
    }
}

struct Folder {
    store: Store,
    receiver: Receiver,
    clock: Arc<SystemClock>,
}

/// What is imported is old: a store being imported into forgets nothing.
const RETENTION: Duration = Duration::from_secs(200 * 365 * 86_400);

impl Folder {
    fn open(dir: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(dir).map_err(|e| Failure::of(&e))?;
        let folder = store_folder(dir)?;
        let clock = Arc::new(SystemClock::new());
        let config = store::Config {
            retention: RETENTION,
            ..store::Config::default()
        };
        let store = Store::open(&folder, config, clock.clone()).map_err(|e| Failure::of(&e))?;
        Ok(Self {
            store,
            receiver: Receiver::new(Limits::default()),
            clock,
        })
    }

    fn take(&self, format: Format, piece: &[u8], told: &mut Told) -> Result<(), Failure> {
        let request = Request {
            body: piece,
            now_ms: self.clock.wall_ms(),
            ..Request::default()
        };
        let batch = match format {
            Format::Openmetrics => open_metrics(&mut Parser::default(), piece, told)?,
            Format::Jsonl | Format::Csv => {
                let received = match format {
                    Format::Csv => self.receiver.csv(&request),
                    Format::Jsonl | Format::Openmetrics => self.receiver.json_lines(&request),
                };
                let received = received.map_err(|e| Failure::new(format!("alluse: {e:?}")))?;
                if let Some(why) = received.rejected.summary() {
                    told.quote(why);
                }
                received.batch
            }
        };
        let appended = self
            .store
            .append(&batch, Durability::Fast)
            .map_err(|e| Failure::of(&e))?;
        told.stored += appended.stored;
        for (reason, count, example) in appended.rejected {
            told.refused += count;
            told.quote(format!("{}: {example}", reason.as_str()));
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        self.store.flush().map_err(|e| Failure::of(&e))?;
        self.store.close().map_err(|e| Failure::of(&e))
    }
}

struct Server {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    api: String,
}

impl Server {
    fn new(url: &str) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Ok(Self {
            runtime: runtime.map_err(|error| Failure::of(&error))?,
            client: reqwest::Client::new(),
            api: format!("{}/api/v1/import", url.trim_end_matches('/')),
        })
    }

    fn take(&self, format: Format, piece: &[u8], told: &mut Told) -> Result<(), Failure> {
        let (path, body) = match format {
            Format::Jsonl => (self.api.clone(), piece.to_vec()),
            Format::Csv => (format!("{}/csv", self.api), piece.to_vec()),
            Format::Openmetrics => {
                let batch = open_metrics(&mut Parser::default(), piece, told)?;
                (self.api.clone(), lines_of(&batch))
            }
        };
        let samples = match format {
            // As many as rows, or as values: the server counts what it refuses.
            Format::Csv => (body.lines().count() as u64).saturating_sub(1),
            Format::Jsonl | Format::Openmetrics => count_values(&body),
        };
        self.runtime.block_on(async {
            let reply = self.client.post(path).body(body).send().await;
            let reply = reply.map_err(|e| Failure::of(&e))?;
            let status = reply.status();
            let text = reply.text().await.map_err(|e| Failure::of(&e))?;
            match status.as_u16() {
                200..=299 => told.stored += samples,
                // Part of it is stored, and the reply says how much.
                400 => told.quote(text),
                _ => {
                    return Err(Failure::new(format!(
                        "alluse: the server says {status}: {text}"
                    )));
                }
            }
            Ok(())
        })
    }
}

/// Samples of a batch as JSON lines.
fn lines_of(batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    for run in batch.samples.chunk_by(|a, b| a.labels == b.labels) {
        let mut series = Series::new(run[0].labels.clone());
        for sample in run {
            match &sample.value {
                model::Value::Float(value) => {
                    series.times_ms.push(sample.time_ms);
                    series.values.push(*value);
                }
                model::Value::Histogram(_) => {}
            }
        }
        exchange::json_lines(&series, &mut out);
    }
    out
}

/// Samples in JSON lines: a time each.
fn count_values(body: &[u8]) -> u64 {
    let count = |line: &serde_json::Value| {
        let of = |key: &str| line[key].as_array().map_or(0, Vec::len);
        let one = usize::from(line["value"].is_number() || line["value"].is_string());
        (of("values") + of("histograms") + one) as u64
    };
    body.split(|b| *b == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .map(|line| count(&line))
        .sum()
}
