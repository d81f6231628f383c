//! `alluse store stat`: what a store holds.

use serde_json::{Value, json};
use store::{Metric, ReadOnlyDisk, Survey};

use super::{Measure, StatArgs, bytes_bar, date, print, store_folder};
use crate::Failure;

pub(super) fn run(args: &StatArgs, quiet: bool) -> Result<(), Failure> {
    let survey = survey(&args.dir, quiet)?;
    let top = top(&survey.metrics, args.by, args.top);
    if args.json {
        print(&as_json(&survey, &top).to_string())
    } else {
        print(&as_text(&survey, &top, args.by))
    }
}

/// Counts what is in a folder.
pub(crate) fn survey(dir: &std::path::Path, quiet: bool) -> Result<Survey, Failure> {
    let folder = store_folder(dir)?;
    let disk = ReadOnlyDisk::open(&folder).map_err(|e| Failure::of(&e))?;
    let bar = bytes_bar("reading", quiet);
    let survey = store::survey(&disk, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    survey.map_err(|e| Failure::of(&e))
}

fn top(metrics: &[Metric], by: Measure, most: usize) -> Vec<&Metric> {
    let measure = |m: &Metric| match by {
        Measure::Series => m.series,
        Measure::Samples => m.samples,
        Measure::Bytes => m.bytes,
    };
    let mut sorted: Vec<&Metric> = metrics.iter().collect();
    sorted.sort_by(|a, b| measure(b).cmp(&measure(a)).then(a.name.cmp(&b.name)));
    sorted.truncate(most);
    sorted
}

/// Bytes of parts for each sample in them.
fn bytes_a_sample(survey: &Survey) -> Option<f64> {
    let samples = survey.samples - survey.samples_wal;
    (samples > 0).then(|| (survey.bytes_data + survey.bytes_index) as f64 / samples as f64)
}

fn as_json(survey: &Survey, top: &[&Metric]) -> Value {
    let day = |d: &store::Day| {
        json!({
            "day": date(d.day.saturating_mul(86_400_000))[..10],
            "parts": d.parts, "samples": d.samples,
            "bytes_data": d.bytes_data, "bytes_index": d.bytes_index,
        })
    };
    let metric = |m: &&Metric| json!({"name": m.name, "series": m.series, "samples": m.samples, "bytes": m.bytes});
    json!({
        "samples": survey.samples,
        "series": survey.series,
        "bytes_data": survey.bytes_data,
        "bytes_index": survey.bytes_index,
        "bytes_wal": survey.bytes_wal,
        "samples_wal": survey.samples_wal,
        "bytes_per_sample": bytes_a_sample(survey),
        "metrics": survey.metrics.len(),
        "parts": survey.parts,
        "damaged": survey.damaged,
        "tombstones": survey.tombstones,
        "from_ms": survey.times_ms.map(|t| t.0),
        "to_ms": survey.times_ms.map(|t| t.1),
        "days": survey.days.iter().map(day).collect::<Vec<_>>(),
        "top": top.iter().map(metric).collect::<Vec<_>>(),
    })
}

fn as_text(survey: &Survey, top: &[&Metric], by: Measure) -> String {
    let mut lines = vec![
        format!("samples       {:>16}", survey.samples),
        format!("series        {:>16}", survey.series),
        format!("metrics       {:>16}", survey.metrics.len()),
        format!("data          {:>16} bytes", survey.bytes_data),
        format!("index         {:>16} bytes", survey.bytes_index),
        format!(
            "log           {:>16} bytes, {} samples",
            survey.bytes_wal, survey.samples_wal
        ),
    ];
    if let Some(bytes) = bytes_a_sample(survey) {
        lines.push(format!(
            "bytes/sample  {bytes:>16.3} in parts, index included"
        ));
    }
    if let Some((from, to)) = survey.times_ms {
        lines.push(format!("from          {:>16}", date(from)));
        lines.push(format!("to            {:>16}", date(to)));
    }
    if survey.tombstones > 0 {
        lines.push(format!(
            "deletes       {:>16} to be carried out",
            survey.tombstones
        ));
    }
    if survey.damaged > 0 {
        lines.push(format!(
            "damaged       {:>16} places, not counted: see `alluse store check`",
            survey.damaged
        ));
    }
    lines.push(String::new());
    lines.push(format!(
        "{:<12}{:>8}{:>16}{:>14}{:>14}",
        "day", "parts", "samples", "data", "index"
    ));
    for day in &survey.days {
        lines.push(format!(
            "{:<12}{:>8}{:>16}{:>14}{:>14}",
            &date(day.day.saturating_mul(86_400_000))[..10],
            day.parts,
            day.samples,
            day.bytes_data,
            day.bytes_index
        ));
    }
    lines.push(String::new());
    let by = format!("{by:?}").to_lowercase();
    lines.push(format!(
        "{:<48}{:>10}{:>16}{:>14}",
        format!("metric, most {by} first"),
        "series",
        "samples",
        "bytes"
    ));
    for metric in top {
        lines.push(format!(
            "{:<48}{:>10}{:>16}{:>14}",
            metric.name, metric.series, metric.samples, metric.bytes
        ));
    }
    lines.join("\n")
}
