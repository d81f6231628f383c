//! `GET /federate?match[]=`: the newest sample of each matching series as text, for another
//! Prometheus to scrape. Like Prometheus, it looks back as far as a query does, leaves out series
//! that have ended, and puts the external labels on what has no such label; a series without an
//! `instance` gets an empty one, so that the one who scrapes does not put ours there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use model::{Labels, Matcher, Selection, Series, is_stale};

use super::{App, params::Params, problem::ApiError};
use crate::queries::Asked;

/// The text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A series, its newest sample's time (ms) and value.
type Newest = (Labels, i64, f64);

pub(super) async fn federate(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    let any_of = params.matchers()?;
    let now_ms = app.clock.wall_ms();
    let asked = Asked {
        text: format!(
            "federate {}",
            params.all("match[]").collect::<Vec<_>>().join(" ")
        ),
        times: (now_ms, now_ms, 0),
        client: String::new(),
    };
    let place = app.queries.admit(asked, app.config.server.query_timeout);
    let place = place.await?;
    let task = tokio::task::spawn_blocking(move || {
        let text = text(&app, any_of);
        place.note(&Ok(()));
        text
    });
    let text = task
        .await
        .map_err(|e| ApiError::internal(format!("the federation failed: {e}")))??;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

fn text(app: &App, any_of: Vec<Vec<Matcher>>) -> Result<String, ApiError> {
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
            let found = last(series?).filter(|(labels, ..)| known.insert(labels.clone()));
            newest.extend(found);
            if newest.len() > options.limits.series {
                let most = options.limits.series;
                return Err(ApiError::bad(format!("more than {most} series match")));
            }
        }
    }
    newest.sort_by(|(a, ..), (b, ..)| (a.metric_name(), a).cmp(&(b.metric_name(), b)));
    let mut external = app.scraping.external_labels();
    external.entry("instance".to_owned()).or_default();
    Ok(written(&newest, &external))
}

/// The newest float of a series that has not ended. Histograms have no place in this text.
fn last(series: Series) -> Option<Newest> {
    let time_ms = *series.times_ms.last()?;
    let value = *series.values.last()?;
    let is_histogram = matches!(series.histograms.last(), Some(Some(_)));
    (!is_stale(value) && !is_histogram).then_some((series.labels, time_ms, value))
}

/// The text of samples that are in order of their names.
fn written(newest: &[Newest], external: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let mut family = "";
    for (labels, time_ms, value) in newest {
        let name = labels.metric_name();
        if name.is_empty() {
            continue;
        }
        if name != family {
            family = name;
            writeln!(text, "# TYPE {} untyped", quoted_name(name)).expect("a string takes text");
        }
        let own = labels.iter().filter(|(n, _)| *n != "__name__");
        let added = external
            .iter()
            .filter(|(n, _)| labels.get(n).is_none())
            .map(|(n, v)| (n.as_str(), v.as_str()));
        let mut all: Vec<String> = own.chain(added).map(|(n, v)| pair(n, v)).collect();
        if is_legacy(name, true) {
            text.push_str(name);
        } else {
            all.insert(0, quoted_name(name));
        }
        if !all.is_empty() {
            write!(text, "{{{}}}", all.join(",")).expect("a string takes text");
        }
        writeln!(text, " {} {time_ms}", go_general(*value)).expect("a string takes text");
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
        let series = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let newest = [
            (series(&[("__name__", "a"), ("instance", "i")]), 5_000, 1.0),
            (series(&[("__name__", "a"), ("zone", "own")]), 6_000, 2.5),
            (
                series(&[("__name__", "b"), ("x", "q\"\\\n")]),
                7_000,
                f64::NAN,
            ),
            (
                series(&[("__name__", "c.d"), ("e.f", "g")]),
                8_000,
                f64::INFINITY,
            ),
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
    fn a_series_that_has_ended_or_is_a_histogram_is_left_out() {
        let mut series = Series::new(Labels::from_pairs([("__name__", "a")]));
        assert_eq!(last(series.clone()), None);
        series.push(1, 2.0);
        assert_eq!(last(series.clone()).map(|(_, t, v)| (t, v)), Some((1, 2.0)));
        let mut ended = series.clone();
        ended.push(2, model::stale_nan());
        assert_eq!(last(ended), None);
        series.push_histogram(2, Arc::default());
        assert_eq!(last(series), None);
    }
}
