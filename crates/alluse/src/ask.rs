//! `alluse query`: asks a server, prints a table, a drawing or its JSON.

mod chart;
mod range;

use std::io::IsTerminal as _;

use range::Range;
use serde_json::Value;

use crate::{
    Failure, asking,
    cli::{Chart, QueryArgs},
};

/// Asks and prints.
pub(crate) fn run(args: &QueryArgs) -> Result<(), Failure> {
    let range = Range::of(args)?;
    let reply = ask(args, range).map_err(|failure| pointed_at(&args.expression, failure))?;
    let data = &reply["data"];
    if args.analyze && data["stats"].is_null() {
        let why = "alluse: this server does not analyze queries: it only explained this one";
        return Err(Failure::new(why));
    }
    let text = if args.json {
        reply.to_string()
    } else if args.explain {
        plan(data)
    } else if args.analyze {
        analysis(data)
    } else {
        let is_drawn = match args.chart {
            Chart::Auto => std::io::stdout().is_terminal(),
            Chart::Always => true,
            Chart::Never => false,
        };
        answer(&reply, range.filter(|_| is_drawn))
    };
    asking::print(&text)
}

/// A mistake in a query, shown where it is.
fn pointed_at(query: &str, failure: Failure) -> Failure {
    let place = || {
        let (_, rest) = failure
            .message
            .split_once("invalid parameter \"query\": ")?;
        let mut numbers = rest.splitn(3, ':');
        let mut number = || numbers.next()?.parse::<usize>().ok();
        let (line, column) = (number()?, number()?);
        Some((query.lines().nth(line.checked_sub(1)?)?, column))
    };
    match place() {
        Some((line, column)) => Failure {
            message: format!("{}\n  {line}\n  {:>column$}", failure.message, '^'),
            ..failure
        },
        None => failure,
    }
}

fn ask(args: &QueryArgs, range: Option<Range>) -> Result<Value, Failure> {
    let mut form = vec![("query", args.expression.clone())];
    form.extend(args.time.clone().map(|time| ("time", time)));
    if let Some(Range { start, end, step }) = range {
        let times = [("start", start), ("end", end), ("step", step)];
        form.extend(times.map(|(key, seconds)| (key, seconds.to_string())));
    }
    if args.analyze {
        form.push(("analyze", "true".to_owned()));
    }
    let path = match (args.explain || args.analyze, range.is_some()) {
        (true, _) => "explain_query",
        (false, true) => "query_range",
        (false, false) => "query",
    };
    let url = asking::api(&args.url, path);
    asking::ask(|client| client.post(url).form(&form))
}

/// What a query would do: an operator a line, its operands below it.
fn plan(data: &Value) -> String {
    let mut lines = vec![format!(
        "{} step(s); reads {} series, about {} samples, holds about {} bytes",
        data["steps"], data["series"], data["samples"], data["bytes"]
    )];
    operator(&data["plan"], 0, &mut lines);
    lines.join("\n")
}

fn operator(node: &Value, depth: usize, lines: &mut Vec<String>) {
    let (name, part) = (text(&node["operator"]), text(&node["text"]));
    let reads = &node["reads"];
    let reads = if reads.is_null() {
        String::new()
    } else {
        format!(
            "\t{} series, about {} samples",
            reads["series"], reads["samples"]
        )
    };
    lines.push(format!("{:1$}{name}\t{part}{reads}", "", 2 * depth));
    for operand in each(&node["operands"]) {
        operator(operand, depth + 1, lines);
    }
}

/// What a query took: first the whole, then an operator a line, its operands below it.
fn analysis(data: &Value) -> String {
    let (stats, answer) = (&data["stats"], &data["answer"]);
    let timings = &stats["timings"];
    let phase = |key: &str| milliseconds(&timings[key]);
    let mut lines = vec![
        format!(
            "{} step(s) in {}: queued {}, prepared {}, evaluated {}, sorted {}",
            data["steps"],
            phase("execTotalTime"),
            phase("execQueueTime"),
            phase("queryPreparationTime"),
            phase("innerEvalTime"),
            phase("resultSortTime"),
        ),
        format!(
            "{} series and {} points answered; {} samples read, {} looked at, {} held at most",
            answer["series"],
            answer["points"],
            stats["samples"]["samplesRead"],
            stats["samples"]["totalQueryableSamples"],
            stats["samples"]["peakSamples"],
        ),
    ];
    measured(&data["plan"], 0, &mut lines);
    let notes = ["warnings", "infos"]
        .into_iter()
        .flat_map(|key| each(&answer[key]).map(text));
    lines
        .into_iter()
        .chain(notes)
        .collect::<Vec<_>>()
        .join("\n")
}

fn measured(node: &Value, depth: usize, lines: &mut Vec<String>) {
    let (name, part, took) = (text(&node["operator"]), text(&node["text"]), &node["took"]);
    let took = if took.is_null() {
        "part of the above".to_owned()
    } else {
        let (time, own) = (milliseconds(&took["time"]), milliseconds(&took["ownTime"]));
        let handed = format!("{} series, {} points", took["series"], took["points"]);
        let (series, samples) = (&took["seriesRead"], &took["samplesRead"]);
        format!("{time} (own {own}), {handed}; read {series} series, {samples} samples")
    };
    lines.push(format!("{:1$}{name}\t{part}\t{took}", "", 2 * depth));
    for operand in each(&node["operands"]) {
        measured(operand, depth + 1, lines);
    }
}

/// Seconds as milliseconds.
fn milliseconds(seconds: &Value) -> String {
    seconds
        .as_f64()
        .map_or_else(|| "?".to_owned(), |s| format!("{:.3} ms", s * 1e3))
}

/// The result as lines of series and value, or drawn over a range.
fn answer(reply: &Value, drawn_over: Option<Range>) -> String {
    let data = &reply["data"];
    let rows: Vec<String> = match (data["resultType"].as_str(), drawn_over) {
        (Some("matrix"), Some(range)) => chart::chart(&data["result"], range),
        _ => table(data),
    };
    let notes = ["warnings", "infos"]
        .into_iter()
        .flat_map(|key| each(&reply[key]).map(text));
    rows.into_iter().chain(notes).collect::<Vec<_>>().join("\n")
}

fn table(data: &Value) -> Vec<String> {
    match data["resultType"].as_str() {
        Some("vector") => each(&data["result"])
            .map(|s| format!("{}\t{}", series(&s["metric"]), text(&s["value"][1])))
            .collect(),
        Some("matrix") => each(&data["result"])
            .map(|s| {
                let points: Vec<String> = each(&s["values"])
                    .map(|p| format!("  {}\t{}", text(&p[0]), text(&p[1])))
                    .collect();
                format!("{}\n{}", series(&s["metric"]), points.join("\n"))
            })
            .collect(),
        _ => vec![text(&data["result"][1])],
    }
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn series(metric: &Value) -> String {
    let labels = metric.as_object().into_iter().flatten();
    model::Labels::from_pairs(labels.map(|(k, v)| (k.clone(), text(v)))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_vector_is_a_line_a_series() {
        let reply = json!({"data": {"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "a"}, "value": [1, "1"]},
        ]}, "infos": ["note"]});
        assert_eq!(answer(&reply, None), "up{job=\"a\"}\t1\nnote");
    }

    #[test]
    fn a_plan_is_an_operator_a_line() {
        let reads = json!({"series": 10, "samples": 2190});
        let range = json!({"operator": "range", "text": "m[5m]", "reads": reads, "operands": []});
        let data = json!({"steps": 2, "series": 10, "samples": 2190, "bytes": 3664, "plan":
            {"operator": "rate()", "text": "rate(m[5m])", "reads": null, "operands": [range]}});
        let lines = "2 step(s); reads 10 series, about 2190 samples, holds about 3664 bytes\n\
                     rate()\trate(m[5m])\n  range\tm[5m]\t10 series, about 2190 samples";
        assert_eq!(plan(&data), lines);
    }

    #[test]
    fn an_analysis_is_the_whole_and_an_operator_a_line() {
        let range = json!({"operator": "range", "text": "m[5m]", "operands": []});
        let took = json!({"time": 0.0125, "ownTime": 0.01, "series": 3, "points": 6,
            "seriesRead": 3, "samplesRead": 60});
        let timings = json!({"execTotalTime": 0.02, "execQueueTime": 0, "queryPreparationTime": 0,
            "innerEvalTime": 0.0125, "resultSortTime": 0.001});
        let samples = json!({"samplesRead": 60, "totalQueryableSamples": 50, "peakSamples": 20});
        let data = json!({"steps": 2, "stats": {"timings": timings, "samples": samples},
            "answer": {"series": 3, "points": 6, "warnings": [], "infos": ["a note (1:1)"]},
            "plan": {"operator": "rate()", "text": "rate(m[5m])", "took": took,
                "operands": [range]}});
        let lines = "2 step(s) in 20.000 ms: queued 0.000 ms, prepared 0.000 ms, evaluated \
                     12.500 ms, sorted 1.000 ms\n3 series and 6 points answered; 60 samples read, \
                     50 looked at, 20 held at most\nrate()\trate(m[5m])\t12.500 ms (own 10.000 \
                     ms), 3 series, 6 points; read 3 series, 60 samples\n  range\tm[5m]\tpart of \
                     the above\na note (1:1)";
        assert_eq!(analysis(&data), lines);
    }

    #[test]
    fn a_scalar_is_its_value() {
        let reply = json!({"data": {"resultType": "scalar", "result": [1, "3"]}});
        assert_eq!(answer(&reply, None), "3");
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        let told = |message: &str| pointed_at("sum(\n  up{", Failure::new(message)).message;
        let mistake = "alluse: invalid parameter \"query\": 2:6: parse error: what";
        assert_eq!(told(mistake), format!("{mistake}\n    up{{\n       ^"));
        for other in [
            "alluse: nobody there",
            "alluse: invalid parameter \"query\": 7:1: no",
        ] {
            assert_eq!(told(other), other);
        }
    }
}
