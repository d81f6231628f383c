//! `alluse store export`: samples for other programs.

mod sqlite;

use std::{
    fs,
    io::{self, BufRead as _, Write},
    path::PathBuf,
    sync::Arc,
};

use clap::{Args, ValueEnum};
use model::{LabelQuery, MatchOp, Matcher, ReadError, Selection, Series, SeriesReader as _};
use store::Store;

use super::store_folder;
use crate::{
    Failure,
    api::params::{selector, time_ms},
    exchange::{self, Csv},
    lifecycle::SystemClock,
};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The data folder of a server, or the store in it. May be in use.
    #[arg(required_unless_present = "url", conflicts_with = "url")]
    pub(crate) dir: Option<PathBuf>,
    /// A server to export from; JSON lines only.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Series, such as `node_cpu_seconds_total{mode="idle"}`. May be given several times.
    #[arg(long = "match", value_name = "SELECTOR")]
    pub(crate) select: Vec<String>,
    /// First time: RFC 3339 or seconds since the Unix epoch.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) from: Option<i64>,
    /// Last time, included.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) to: Option<i64>,
    /// What to write.
    #[arg(long, default_value = "jsonl")]
    pub(crate) format: Format,
    /// The file; standard output if not given. Must not exist.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A series a line; read back bit for bit, native histograms included.
    Jsonl,
    /// A sample a row, a column a label. No native histograms.
    Csv,
    /// Text with times, as `promtool tsdb create-blocks-from openmetrics` reads it.
    Openmetrics,
    /// A database with tables series, labels, samples and histograms.
    Sqlite,
}

fn time(text: &str) -> Result<i64, String> {
    time_ms(text).ok_or_else(|| format!("{text:?} is no time"))
}

/// What came of an export.
#[derive(Debug, Default)]
struct Told {
    series: u64,
    samples: u64,
    /// Samples the format has no way to write.
    left_out: u64,
    /// What could not be read.
    missing: Vec<String>,
}

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 1 << 18;

pub(super) fn run(args: &ExportArgs, quiet: bool) -> Result<(), Failure> {
    let bar = match quiet {
        true => indicatif::ProgressBar::hidden(),
        false => indicatif::ProgressBar::new_spinner(),
    };
    let told = match &args.url {
        Some(url) => remote(args, url, &bar)?,
        None => local(args, &bar)?,
    };
    bar.finish_and_clear();
    if !quiet {
        eprintln!("{} samples of {} series", told.samples, told.series);
    }
    if told.left_out > 0 {
        eprintln!("{} samples cannot be written in this format", told.left_out);
    }
    if told.missing.is_empty() {
        return Ok(());
    }
    let list = told.missing.join("\n  ");
    Err(Failure::new(format!(
        "alluse: not in the export, because it does not check:\n  {list}"
    )))
}

fn output(args: &ExportArgs) -> Result<Box<dyn Write>, Failure> {
    let Some(path) = &args.output else {
        return Ok(Box::new(io::stdout().lock()));
    };
    let file = fs::File::options().write(true).create_new(true).open(path);
    let file =
        file.map_err(|e| Failure::new(format!("alluse: cannot create {}: {e}", path.display())))?;
    Ok(Box::new(file))
}

/// The selectors asked for; everything if none are.
fn selectors(args: &ExportArgs) -> Result<Vec<Vec<Matcher>>, Failure> {
    if args.select.is_empty() {
        let all = Matcher::new(model::METRIC_NAME, MatchOp::NotEqual, "");
        return Ok(vec![vec![all.expect("no expression")]]);
    }
    let parsed = args.select.iter().map(|text| selector(text, "match[]"));
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::usage(format!("alluse: {}", error.message())))
}

/// Gives each series once, even if several selectors match it.
fn each(
    store: &Store,
    args: &ExportArgs,
    extra: Option<Matcher>,
    told: &mut Told,
    give: &mut dyn FnMut(&Series) -> Result<u64, Failure>,
) -> Result<(), Failure> {
    let selectors = selectors(args)?;
    for (number, matchers) in selectors.iter().enumerate() {
        let selection = Selection {
            matchers: matchers.iter().chain(&extra).cloned().collect(),
            from_ms: args.from.unwrap_or(i64::MIN),
            to_ms: args.to.unwrap_or(i64::MAX),
        };
        for series in store.select(&selection).map_err(|e| Failure::of(&e))? {
            let series = match series {
                Ok(series) => series,
                Err(ReadError::Corrupt { place }) => {
                    told.missing.push(place);
                    continue;
                }
                Err(error) => return Err(Failure::of(&error)),
            };
            let holds = |m: &Matcher| m.matches(series.labels.get(&m.name).unwrap_or_default());
            if selectors[..number]
                .iter()
                .any(|earlier| earlier.iter().all(holds))
            {
                continue;
            }
            told.series += 1;
            told.samples += series.times_ms.len() as u64;
            told.left_out += give(&series)?;
        }
    }
    Ok(())
}

fn local(args: &ExportArgs, bar: &indicatif::ProgressBar) -> Result<Told, Failure> {
    let dir = args.dir.as_deref().expect("clap asks for it");
    let folder = store_folder(dir)?;
    let clock = Arc::new(SystemClock::new());
    let store = Store::open_read_only(&folder, clock).map_err(|e| Failure::of(&e))?;
    let mut told = Told::default();
    if args.format == Format::Sqlite {
        let Some(path) = &args.output else {
            return Err(Failure::usage(
                "alluse: a database needs a file: --output FILE",
            ));
        };
        let mut database = sqlite::Database::create(path)?;
        each(&store, args, None, &mut told, &mut |series| {
            bar.inc(1);
            database.series(series).map(|()| 0)
        })?;
        database.finish()?;
        return Ok(told);
    }
    let mut out = Text {
        buffer: Vec::new(),
        to: output(args)?,
        bar: bar.clone(),
    };
    match args.format {
        Format::Csv => {
            let csv = csv(&store, args)?;
            csv.head(&mut out.buffer);
            each(&store, args, None, &mut told, &mut |series| {
                let left_out = csv.series(series, &mut out.buffer);
                out.drain().map(|()| left_out)
            })?;
        }
        Format::Openmetrics => {
            // Series of one metric have to come together.
            for name in store
                .label_values(model::METRIC_NAME, &query(args)?)
                .map_err(|e| Failure::of(&e))?
            {
                let of_name = Matcher::equal(model::METRIC_NAME, name);
                each(&store, args, Some(of_name), &mut told, &mut |series| {
                    let left_out = exchange::open_metrics(series, &mut out.buffer);
                    out.drain().map(|()| left_out)
                })?;
            }
            out.buffer.extend_from_slice(b"# EOF\n");
        }
        Format::Jsonl | Format::Sqlite => {
            each(&store, args, None, &mut told, &mut |series| {
                exchange::json_lines(series, &mut out.buffer);
                out.drain().map(|()| 0)
            })?;
        }
    }
    out.finish()?;
    Ok(told)
}

fn query(args: &ExportArgs) -> Result<LabelQuery, Failure> {
    Ok(LabelQuery {
        any_of: selectors(args)?,
        from_ms: args.from.unwrap_or(i64::MIN),
        to_ms: args.to.unwrap_or(i64::MAX),
        limit: 0,
    })
}

fn csv(store: &Store, args: &ExportArgs) -> Result<Csv, Failure> {
    let names = store
        .label_names(&query(args)?)
        .map_err(|e| Failure::of(&e))?;
    Csv::new(&names).ok_or_else(|| {
        Failure::new("alluse: a label is called timestamp, time_ms, value or metric: CSV cannot tell it from a column")
    })
}

/// Text on its way out.
struct Text {
    buffer: Vec<u8>,
    to: Box<dyn Write>,
    bar: indicatif::ProgressBar,
}

impl Text {
    fn drain(&mut self) -> Result<(), Failure> {
        self.bar.inc(1);
        let drained = exchange::drain(&mut self.buffer, &mut *self.to, BUFFER_BYTES);
        drained.map_err(|e| Failure::of(&e))
    }

    fn finish(mut self) -> Result<(), Failure> {
        let drained = exchange::drain(&mut self.buffer, &mut *self.to, 0);
        drained
            .and_then(|()| self.to.flush())
            .map_err(|e| Failure::of(&e))
    }
}

/// JSON lines as the server writes them.
fn remote(args: &ExportArgs, url: &str, bar: &indicatif::ProgressBar) -> Result<Told, Failure> {
    if args.format != Format::Jsonl {
        return Err(Failure::usage(
            "alluse: a server exports JSON lines; import them into a folder for other formats",
        ));
    }
    let mut form: Vec<(&str, String)> = Vec::new();
    for matchers in selectors(args)? {
        let matchers: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        form.push(("match[]", format!("{{{}}}", matchers.join(","))));
    }
    let seconds = |ms: i64| format!("{}", ms as f64 / 1_000.0);
    form.extend(args.from.map(|ms| ("start", seconds(ms))));
    form.extend(args.to.map(|ms| ("end", seconds(ms))));
    let mut to = output(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::of(&error))?;
    runtime.block_on(async {
        let api = format!("{}/api/v1/export", url.trim_end_matches('/'));
        let reply = reqwest::Client::new().post(&api).form(&form).send().await;
        let mut reply = reply
            .and_then(reqwest::Response::error_for_status)
            .map_err(|e| Failure::of(&e))?;
        let mut told = Told::default();
        let mut ended = true;
        while let Some(chunk) = reply.chunk().await.map_err(|e| Failure::of(&e))? {
            to.write_all(&chunk).map_err(|e| Failure::of(&e))?;
            told.series += chunk.lines().count() as u64;
            bar.inc(chunk.len() as u64);
            ended = chunk.ends_with(b"\n");
        }
        if !ended {
            return Err(Failure::new("alluse: the export ended within a line"));
        }
        to.flush().map_err(|e| Failure::of(&e))?;
        Ok(told)
    })
}
