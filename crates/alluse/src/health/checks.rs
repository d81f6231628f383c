//! The checks of the server's own parts: the disk, the store, what collects and what forwards,
//! the journal, the loop, the queries, the rules, who is told of alerts, and the clock.

use std::{path::PathBuf, sync::Arc, time::Duration};

use model::Clock;
use store::{State as StoreState, Store};

use super::{Condition, Health, Rise};
use crate::{
    api::App, forward::Forwarder, keep::Keep, notifying::Notifying, ruling::Ruling,
    telemetry::Telemetry,
};

/// Free space below which the store could not take its ballast again, bytes: it would stop
/// ingest rather than share what is left.
const FREE_BYTES_MIN: u64 = 16 << 20;

/// Files that can still be made below which parts could not be written.
const FREE_FILES_MIN: u64 = 4;

/// Share of the disk below which somebody should make room.
const FREE_SHARE_LOW: f64 = 0.1;

/// Window of rates: an accident counts until it is this long ago.
const RECENTLY: Duration = Duration::from_secs(60);

/// Samples appended and not one sync in this time: the log is not being synced.
const SYNC_LATE: Duration = Duration::from_secs(10);

/// An error of the journal counts as its failure for this long, and as a blemish for
/// [`RECENTLY`].
const JOURNAL_FAILED: Duration = Duration::from_secs(10);

/// Loop turns come every 50 ms; none in this time and it hangs.
const LOOP_STALLED: Duration = Duration::from_secs(10);

/// The analysis may be this far behind the store before it is told.
const BEHIND_MS_MAX: u64 = 10_000;

/// The wall clock may move against the monotonic one by this much within [`CLOCK_WINDOW`]; slewing
/// by NTP stays far below.
const CLOCK_MOVED_MS: i64 = 1_000;

/// How long a jump of the wall clock is told.
const CLOCK_WINDOW: Duration = Duration::from_secs(300);

/// Registers them all.
pub(crate) fn register(health: &Health, app: &App, keep: &Keep) {
    let data = app.config.server.data.clone();
    health.register("disk", &[], move |_now| disk(&data));
    match keep {
        Keep::Here(store) => {
            health.require("store", &["disk"], store_check(Arc::clone(store)));
        }
        Keep::Elsewhere(there) => {
            let keep = keep.clone();
            health.register("remote", &[], move |_now| remote(&keep));
            health.require("store", &["disk"], queue_check(there.forwarder.clone()));
        }
    }
    health.require("journal", &["disk"], journal(Arc::clone(&app.telemetry)));
    let behind = Arc::clone(&app.telemetry);
    health.register("loop", &["journal", "store"], turning(behind));
    health.register("collector", &["store"], collector(app.collector.clone()));
    let (places, most) = (
        Arc::clone(&app.queries),
        app.config.server.queries.running_max,
    );
    health.register("queries", &["store"], move |_now| {
        queries(places.places_free(), most)
    });
    let ruling = Arc::clone(&app.ruling);
    health.register("rules", &["queries", "store"], ruled(ruling));
    health.register("notify", &["disk"], told(Arc::clone(&app.notifying)));
    health.register("clock", &[], clock(Arc::clone(&app.clock)));
}

/// Room for data: bytes and files.
fn disk(data: &PathBuf) -> Condition {
    let found = match rustix::fs::statvfs(data) {
        Ok(found) => found,
        Err(error) => return Condition::Unhealthy(format!("the data folder is gone: {error}")),
    };
    let size = found.f_blocks.saturating_mul(found.f_frsize);
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // A file system that does not count its files says 0 of 0.
    let files = (found.f_files > 0).then_some(found.f_favail);
    room(size, free, files)
}

fn room(size: u64, free: u64, files: Option<u64>) -> Condition {
    let mib = free >> 20;
    if let Some(files) = files.filter(|files| *files < FREE_FILES_MIN) {
        return Condition::Unhealthy(format!("{files} more files can be made on it"));
    }
    if free < FREE_BYTES_MIN {
        return Condition::Unhealthy(format!("{mib} MiB are free"));
    }
    let share = free as f64 / size.max(1) as f64;
    if share < FREE_SHARE_LOW {
        let percent = share * 100.0;
        return Condition::Degraded(format!("{mib} MiB are free, {percent:.1}% of it"));
    }
    Condition::Healthy
}

/// The embedded store: it takes samples, syncs its log, and finds its bytes as it left them.
fn store_check(store: Arc<Store>) -> impl FnMut(Duration) -> Condition + Send {
    let (mut appended, mut syncs) = (Rise::over(SYNC_LATE), Rise::over(SYNC_LATE));
    let (mut failed, mut corrupt) = (Rise::over(RECENTLY), Rise::over(RECENTLY));
    move |now| {
        let stats = store.stats();
        match stats.state {
            StoreState::Healthy => {}
            StoreState::DiskFull => {
                let what = "disk_full: ingest is stopped until space is free";
                return Condition::Unhealthy(what.to_owned());
            }
            StoreState::Failed => {
                let what = "failed: a write or sync of the log failed; restart the server";
                return Condition::Unhealthy(what.to_owned());
            }
        }
        let (taken, synced) = (
            appended.note(now, stats.appended),
            syncs.note(now, stats.syncs),
        );
        let maintenance = failed.note(now, stats.maintenance_failed);
        let blocks = corrupt.note(now, stats.blocks_corrupt);
        if taken > 0 && synced == 0 && syncs.is_whole(now) {
            let late = SYNC_LATE.as_secs();
            return Condition::Degraded(format!("its log was not synced for {late} s"));
        }
        if blocks > 0 {
            return Condition::Degraded(format!("{blocks} blocks read lately do not check"));
        }
        if maintenance > 0 {
            return Condition::Degraded("a flush, merge or retention failed lately".to_owned());
        }
        if stats.parts_quarantined > 0 {
            let parts = stats.parts_quarantined;
            return Condition::Degraded(format!("{parts} parts that do not check are set aside"));
        }
        Condition::Healthy
    }
}

/// The store elsewhere, over both ways.
fn remote(keep: &Keep) -> Condition {
    if keep.state().state == crate::keep::REMOTE_DOWN {
        let what = "the remote store does not answer; samples wait in the queue";
        return Condition::Degraded(what.to_owned());
    }
    Condition::Healthy
}

/// The queue before a store elsewhere: it has room and drops nothing.
fn queue_check(forwarder: Forwarder) -> impl FnMut(Duration) -> Condition + Send {
    let mut dropped = Rise::over(RECENTLY);
    move |now| {
        let stats = forwarder.spill.stats();
        let lost = dropped.note(now, stats.dropped_oldest + stats.dropped_newest);
        if lost > 0 {
            return Condition::Degraded(format!("the queue is full: {lost} samples were dropped"));
        }
        Condition::Healthy
    }
}

/// The journal: turns without a record send no orders.
fn journal(telemetry: Arc<Telemetry>) -> impl FnMut(Duration) -> Condition + Send {
    let (mut now_and_then, mut just_now) = (Rise::over(RECENTLY), Rise::over(JOURNAL_FAILED));
    move |now| {
        let errors = telemetry.journal_errors.get();
        let (lately, at_last) = (now_and_then.note(now, errors), just_now.note(now, errors));
        if at_last > 0 {
            return Condition::Unhealthy(format!(
                "{at_last} records could not be written just now"
            ));
        }
        if lately > 0 {
            return Condition::Degraded(format!("{lately} records could not be written lately"));
        }
        Condition::Healthy
    }
}

/// The loop takes its turns, and the analysis keeps up with the store.
fn turning(telemetry: Arc<Telemetry>) -> impl FnMut(Duration) -> Condition + Send {
    let mut turns = Rise::over(LOOP_STALLED);
    move |now| {
        let taken = turns.note(now, telemetry.turns.get());
        if taken == 0 && turns.is_whole(now) {
            let long = LOOP_STALLED.as_secs();
            return Condition::Unhealthy(format!("it took no turn for {long} s"));
        }
        let behind_ms = telemetry
            .analysis_behind_ms
            .load(std::sync::atomic::Ordering::Relaxed);
        if behind_ms > BEHIND_MS_MAX {
            let seconds = behind_ms / 1_000;
            return Condition::Degraded(format!("the analysis is {seconds} s behind the store"));
        }
        Condition::Healthy
    }
}

/// Targets answer, and nothing collected is dropped on its way to the store.
fn collector(handle: collect::Handle) -> impl FnMut(Duration) -> Condition + Send {
    let mut dropped = Rise::over(RECENTLY);
    move |now| {
        let lost = dropped.note(now, samples_dropped(&handle));
        if lost > 0 {
            return Condition::Degraded(format!("{lost} samples were dropped: the store is slow"));
        }
        let targets = handle.targets();
        let down: Vec<&str> = targets
            .iter()
            .filter(|target| target.up == Some(false))
            .map(|target| target.target.url.as_str())
            .collect();
        let Some(first) = down.first() else {
            return Condition::Healthy;
        };
        let (down, all) = (down.len(), targets.len());
        Condition::Degraded(format!(
            "{down} of {all} targets do not answer, such as {first}"
        ))
    }
}

fn samples_dropped(handle: &collect::Handle) -> u64 {
    let all = handle.metrics(0);
    let dropped = all
        .iter()
        .filter(|s| s.labels.get("__name__") == Some("alluse_collect_samples_dropped_total"));
    let counts = dropped.map(|s| match &s.value {
        model::Value::Float(count) => *count as u64,
        model::Value::Histogram(_) => 0,
    });
    counts.sum()
}

/// Places for queries.
fn queries(free: usize, most: usize) -> Condition {
    if free == 0 {
        return Condition::Degraded(format!("all {most} places are taken: more have to wait"));
    }
    Condition::Healthy
}

/// Rules are evaluated, on time.
fn ruled(ruling: Arc<Ruling>) -> impl FnMut(Duration) -> Condition + Send {
    let (mut failures, mut missed) = (Rise::over(RECENTLY), Rise::over(RECENTLY));
    move |now| {
        let groups = ruling.status();
        let sum = |read: fn(&rules::Totals) -> u64| groups.iter().map(|g| read(&g.totals)).sum();
        let failed = failures.note(now, sum(|totals| totals.failures));
        let skipped = missed.note(now, sum(|totals| totals.missed));
        let broken = groups.iter().flat_map(|group| {
            let errors = group
                .rules
                .iter()
                .filter_map(|rule| rule.last_error.as_ref());
            errors.map(|error| format!("{}: {error}", group.spec.name))
        });
        if let Some(first) = broken.into_iter().next().filter(|_| failed > 0) {
            return Condition::Degraded(format!("{failed} evaluations failed lately, in {first}"));
        }
        if skipped > 0 {
            let what = "evaluations were missed lately: groups take longer than their intervals";
            return Condition::Degraded(format!("{skipped} {what}"));
        }
        Condition::Healthy
    }
}

/// People are told of alerts, and it is on the disk whom.
fn told(notifying: Arc<Notifying>) -> impl FnMut(Duration) -> Condition + Send {
    let mut unsaved = Rise::over(RECENTLY);
    move |now| {
        if unsaved.note(now, notifying.unsaved()) > 0 {
            let what = "who was told of what could not be written lately: a restart may repeat it";
            return Condition::Degraded(what.to_owned());
        }
        let troubles = notifying.troubles();
        let Some(first) = troubles.first() else {
            return Condition::Healthy;
        };
        match troubles.len() - 1 {
            0 => Condition::Degraded(first.clone()),
            more => Condition::Degraded(format!("{first}, and {more} more")),
        }
    }
}

/// The wall clock goes with the monotonic one.
fn clock(clock: Arc<dyn Clock>) -> impl FnMut(Duration) -> Condition + Send {
    // Both read here, one after the other: a check before this one may have taken seconds.
    let ahead = |clock: &dyn Clock| {
        let passed = clock.monotonic().as_millis();
        clock.wall_ms() - i64::try_from(passed).unwrap_or(i64::MAX)
    };
    let mut last: Option<i64> = None;
    let mut jumped: Option<(Duration, i64)> = None;
    move |now| {
        let now_ahead = ahead(clock.as_ref());
        let moved = now_ahead - last.unwrap_or(now_ahead);
        last = Some(now_ahead);
        if moved.abs() >= CLOCK_MOVED_MS {
            jumped = Some((now, moved));
        }
        match jumped.filter(|(at, _)| now < *at + CLOCK_WINDOW) {
            Some((_, by)) => Condition::Degraded(format!("it was moved by {by} ms lately")),
            None => Condition::Healthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_disk_is_low_before_it_is_full() {
        assert_eq!(room(100 * GIB, 50 * GIB, Some(1_000)), Condition::Healthy);
        assert_eq!(room(100 * GIB, 50 * GIB, None), Condition::Healthy);
        let low = Condition::Degraded("5120 MiB are free, 5.0% of it".to_owned());
        assert_eq!(room(100 * GIB, 5 * GIB, None), low);
        let full = Condition::Unhealthy("1 MiB are free".to_owned());
        assert_eq!(room(100 * GIB, 1 << 20, None), full);
        assert!(matches!(
            room(100 * GIB, 50 * GIB, Some(0)),
            Condition::Unhealthy(_)
        ));
    }

    /// Wall and monotonic time, ms.
    #[derive(Debug, Default)]
    struct TwoClocks(AtomicI64, AtomicU64);

    impl Clock for TwoClocks {
        fn wall_ms(&self) -> i64 {
            self.0.load(Relaxed)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.1.load(Relaxed))
        }
    }

    #[test]
    fn a_clock_that_was_set_is_told_for_a_while() {
        let two = Arc::new(TwoClocks::default());
        let mut check = clock(Arc::clone(&two) as _);
        let mut at = |wall_s: i64, passed_s: u64| {
            two.0.store(wall_s * 1_000, Relaxed);
            two.1.store(passed_s * 1_000, Relaxed);
            check(Duration::from_secs(passed_s))
        };
        let told = Condition::Degraded("it was moved by 60000 ms lately".to_owned());
        assert_eq!(at(1_000, 0), Condition::Healthy);
        assert_eq!(at(1_005, 5), Condition::Healthy);
        assert_eq!(at(1_070, 10), told);
        assert_eq!(at(1_160, 100), told);
        assert_eq!(at(1_400, 340), Condition::Healthy);
    }
}
