//! The route tree of `alertmanager.yml`.

use std::collections::BTreeSet;

use notify::{GroupBy, RouteSaid};
use yaml::Table;

use super::matching;

/// What routes may name.
pub(super) struct Names {
    pub(super) receivers: BTreeSet<String>,
    pub(super) intervals: BTreeSet<String>,
}

/// The keys of matchers, today's first.
const MATCHERS: (&str, &str, &str) = ("matchers", "match", "match_re");

pub(super) fn root(table: &Table<'_>, names: &Names) -> RouteSaid {
    let Some(said) = table.table("route") else {
        table.mistake("route", "is missing: nobody would be told of anything");
        return RouteSaid::default();
    };
    if said.get("receiver").is_none() {
        said.mistake("receiver", "is missing: the root takes every alert");
    }
    for key in [
        MATCHERS.0,
        MATCHERS.1,
        MATCHERS.2,
        "mute_time_intervals",
        "active_time_intervals",
    ] {
        if said.get(key).is_some() {
            said.mistake(
                key,
                "does not belong to the root: it takes every alert, always",
            );
        }
    }
    if said.flag("continue") == Some(true) {
        said.mistake("continue", "the root has no siblings to continue to");
    }
    RouteSaid {
        matchers: Vec::new(),
        continues: false,
        mute_times: Vec::new(),
        active_times: Vec::new(),
        ..route(said, names)
    }
}

fn route(said: Table<'_>, names: &Names) -> RouteSaid {
    let span = |key: &'static str| {
        let span = said.duration(key)?;
        if span.is_zero() && key != "group_wait" {
            said.mistake(key, "must be above 0");
        }
        i64::try_from(span.as_millis()).ok()
    };
    let times = |key: &'static str| {
        let named = said.texts(key);
        for name in named.iter().filter(|name| !names.intervals.contains(*name)) {
            said.mistake(key, format!("no time interval is named {name:?}"));
        }
        named
    };
    let receiver = said.text("receiver").filter(|name| !name.is_empty());
    if let Some(name) = receiver
        .as_ref()
        .filter(|name| !names.receivers.contains(*name))
    {
        said.mistake("receiver", format!("no receiver is named {name:?}"));
    }
    let route = RouteSaid {
        receiver,
        matchers: matching(&said, MATCHERS),
        continues: said.flag("continue").unwrap_or(false),
        group_by: group_by(&said),
        group_wait_ms: span("group_wait"),
        group_interval_ms: span("group_interval"),
        repeat_interval_ms: span("repeat_interval"),
        mute_times: times("mute_time_intervals"),
        active_times: times("active_time_intervals"),
        escalate: None,
        routes: said
            .tables("routes")
            .into_iter()
            .map(|child| route(child, names))
            .collect(),
    };
    said.finish();
    route
}

/// An empty list says nothing, as in Alertmanager.
fn group_by(said: &Table<'_>) -> Option<GroupBy> {
    let names = said.texts("group_by");
    if names.is_empty() {
        return None;
    }
    let group_by = GroupBy::parse(&names);
    group_by.map_err(|why| said.mistake("group_by", why)).ok()
}
