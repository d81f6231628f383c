//! `GET /federate?match[]=`: the newest sample of each matching series as text, for another
//! Prometheus to scrape. Like Prometheus, it looks back as far as a query does, leaves out series
//! that have ended, and puts the external labels on what has no such label; a series without an
//! `instance` gets an empty one, so that the one who scrapes does not put ours there. Native
//! histograms are told to those who take protobuf; the text has no place for them.

mod protobuf;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use model::{Histogram, Labels, Matcher, Selection, Series, is_stale};

use super::{App, params::Params, problem::ApiError};
use crate::queries::Asked;

/// The text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A series and its newest sample.
#[derive(Debug, Clone, PartialEq)]
struct Newest {
    labels: Labels,
    time_ms: i64,
    said: Said,
}

/// What a sample says.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// How families are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Protobuf,
}

impl Format {
    /// As `Accept` asks: protobuf where it is named with delimited families and no text is liked
    /// better.
    fn asked(headers: &HeaderMap) -> Self {
        let said = headers.get_all(header::ACCEPT).iter();
        let said = said.filter_map(|value| value.to_str().ok());
        let mut best = (0.0, Self::Text);
        for one in said.flat_map(|value| value.split(',')) {
            let mut parts = one.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let parts: Vec<&str> = parts.collect();
            let has = |part: &str| parts.contains(&part);
            let format = match kind {
                "application/vnd.google.protobuf"
                    if has("proto=io.prometheus.client.MetricFamily")
                        && has("encoding=delimited") =>
                {
                    Self::Protobuf
                }
                "text/plain" | "*/*" | "application/openmetrics-text" => Self::Text,
                _ => continue,
            };
            let quality = parts.iter().find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }
}

pub(super) async fn federate(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let format = Format::asked(&headers);
    let any_of = params.matchers()?;
    let now_ms = app.clock.wall_ms();
    let asked = Asked {
        text: format!(
            "federate {}",
            params.all("match[]").collect::<Vec<_>>().join(" ")
        ),
        times: (now_ms, now_ms, 0),
        client: String::new(),
        by_step: false,
        by_operator: false,
    };
    let place = app.queries.admit(asked, app.config.server.query_timeout);
    let place = place.await?;
    let task = tokio::task::spawn_blocking(move || {
        let found = newest(&app, any_of);
        place.note(&Ok(()));
        found.map(|(newest, external)| match format {
            Format::Text => (CONTENT_TYPE, written(&newest, &external).into_bytes()),
            Format::Protobuf => {
                let body = protobuf::written(&newest, &external);
                (protobuf::CONTENT_TYPE, body)
            }
        })
    });
    let (kind, body) = task
        .await
        .map_err(|e| ApiError::internal(format!("the federation failed: {e}")))??;
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// The newest samples in order of their names, and the labels for those that lack them.
fn newest(
    app: &App,
    any_of: Vec<Vec<Matcher>>,
) -> Result<(Vec<Newest>, BTreeMap<String, String>), ApiError> {
    let now_ms = app.clock.wall_ms();
    let options = app.engine.options();
    let mut newest = Vec::new();
    let mut known = BTreeSet::new();
    for matchers in any_of {
        let selection = Selection {
            matchers,
            from_ms: now_ms - options.lookback_ms + 1,
            to_ms: now_ms,
        };
        for series in app.reader.select(&selection)? {
            let found = last(series?).filter(|found| known.insert(found.labels.clone()));
            newest.extend(found);
            if newest.len() > options.limits.series {
                let most = options.limits.series;
                return Err(ApiError::bad(format!("more than {most} series match")));
            }
        }
    }
    newest.sort_by(|a: &Newest, b| {
        let names = a.labels.metric_name().cmp(b.labels.metric_name());
        names.then_with(|| a.labels.cmp(&b.labels))
    });
    let mut external = app.scraping.external_labels();
    external.entry("instance".to_owned()).or_default();
    Ok((newest, external))
}

/// The newest sample of a series that has not ended.
fn last(series: Series) -> Option<Newest> {
    let time_ms = *series.times_ms.last()?;
    let value = *series.values.last()?;
    let said = match series.histograms.last() {
        Some(Some(histogram)) => Said::Histogram(Arc::clone(histogram)),
        Some(None) | None => Said::Float(value),
    };
    let marker = match &said {
        Said::Histogram(histogram) => histogram.sum,
        Said::Float(value) => *value,
    };
    (!is_stale(marker)).then_some(Newest {
        labels: series.labels,
        time_ms,
        said,
    })
}

/// Its own labels but the name, and those it lacks.
fn labels_of<'l>(
    labels: &'l Labels,
    external: &'l BTreeMap<String, String>,
) -> impl Iterator<Item = (&'l str, &'l str)> {
    let own = labels.iter().filter(|(n, _)| *n != "__name__");
    let added = external
        .iter()
        .filter(|(n, _)| labels.get(n).is_none())
        .map(|(n, v)| (n.as_str(), v.as_str()));
    own.chain(added)
}

/// The text of the floats among samples that are in order of their names.
fn written(newest: &[Newest], external: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let mut family = "";
    for sample in newest {
        let (labels, time_ms) = (&sample.labels, sample.time_ms);
        let Said::Float(value) = sample.said else {
            continue;
        };
        let name = labels.metric_name();
        if name.is_empty() {
            continue;
        }
        if name != family {
            family = name;
            writeln!(text, "# TYPE {} untyped", quoted_name(name)).expect("a string takes text");
        }
        let all = labels_of(labels, external);
        let mut all: Vec<String> = all.map(|(n, v)| pair(n, v)).collect();
        if is_legacy(name, true) {
            text.push_str(name);
        } else {
            all.insert(0, quoted_name(name));
        }
        if !all.is_empty() {
            write!(text, "{{{}}}", all.join(",")).expect("a string takes text");
        }
        writeln!(text, " {} {time_ms}", go_general(value)).expect("a string takes text");
    }
    text
}

fn pair(name: &str, value: &str) -> String {
    let name = if is_legacy(name, false) {
        name.to_owned()
    } else {
        quoted_name(name)
    };
    format!("{name}=\"{}\"", escaped(value))
}

/// A name as it is, or in quotes where it needs them.
fn quoted_name(name: &str) -> String {
    if is_legacy(name, true) {
        name.to_owned()
    } else {
        format!("\"{}\"", escaped(name))
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}

/// Whether a name is of the letters, digits and signs that need no quotes.
fn is_legacy(name: &str, colon: bool) -> bool {
    let fits = |(at, c): (usize, char)| {
        c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit()) || (colon && c == ':')
    };
    !name.is_empty() && name.chars().enumerate().all(fits)
}

/// A float as Go writes its shortest digits with the verb `g`: with an exponent below 1e-4 and
/// from 1e6 on.
fn go_general(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return query::format_value(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..EXPONENT_FROM).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// The power of ten from which Go's shortest `%g` has an exponent.
const EXPONENT_FROM: i32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_grouped_by_name_and_get_the_external_labels() {
        let sample = |pairs: &[(&str, &str)], time_ms, value| Newest {
            labels: Labels::from_pairs(pairs.iter().copied()),
            time_ms,
            said: Said::Float(value),
        };
        let newest = [
            sample(&[("__name__", "a"), ("instance", "i")], 5_000, 1.0),
            sample(&[("__name__", "a"), ("zone", "own")], 6_000, 2.5),
            sample(&[("__name__", "b"), ("x", "q\"\\\n")], 7_000, f64::NAN),
            sample(&[("__name__", "c.d"), ("e.f", "g")], 8_000, f64::INFINITY),
        ];
        let external = [("instance", ""), ("zone", "z")];
        let external = external.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let expected = concat!(
            "# TYPE a untyped\n",
            "a{instance=\"i\",zone=\"z\"} 1 5000\n",
            "a{zone=\"own\",instance=\"\"} 2.5 6000\n",
            "# TYPE b untyped\n",
            "b{x=\"q\\\"\\\\\\n\",instance=\"\",zone=\"z\"} NaN 7000\n",
            "# TYPE \"c.d\" untyped\n",
            "{\"c.d\",\"e.f\"=\"g\",instance=\"\",zone=\"z\"} +Inf 8000\n",
        );
        assert_eq!(written(&newest, &external), expected);
    }

    #[test]
    fn a_series_that_has_ended_is_left_out_and_a_histogram_is_not_text() {
        let mut series = Series::new(Labels::from_pairs([("__name__", "a")]));
        assert_eq!(last(series.clone()), None);
        series.push(1, 2.0);
        let found = last(series.clone()).unwrap();
        assert_eq!((found.time_ms, found.said), (1, Said::Float(2.0)));
        let mut ended = series.clone();
        ended.push(2, model::stale_nan());
        assert_eq!(last(ended), None);
        series.push_histogram(2, Arc::default());
        let found = last(series).unwrap();
        assert!(matches!(found.said, Said::Histogram(_)));
        assert_eq!(written(&[found], &BTreeMap::new()), "");
    }

    #[test]
    fn protobuf_is_for_who_asks_for_it() {
        let asked = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, header::HeaderValue::from_static(value));
            Format::asked(&headers)
        };
        let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(asked(prometheus), Format::Protobuf);
        for text in [
            "text/plain",
            "*/*",
            "application/vnd.google.protobuf",
            "text/plain, application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; q=0.5",
        ] {
            assert_eq!(asked(text), Format::Text, "{text}");
        }
        assert_eq!(Format::asked(&HeaderMap::new()), Format::Text);
    }
}
