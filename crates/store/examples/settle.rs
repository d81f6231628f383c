//! Brings a stopped server's store to rest: memory to parts, parts merged until nothing is worth
//! merging, as the server does by itself in time. Then says what lies on disk, as JSON.
//!
//! `cargo run --release -p store --example settle DIR`
#![expect(
    clippy::print_stdout,
    reason = "a tool of the benchmark tells its figures"
)]

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The machine's clock.
#[derive(Debug)]
struct Real(Instant);

#[expect(clippy::disallowed_methods, reason = "a tool with a main of its own")]
impl model::Clock for Real {
    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "a tool with a main of its own")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: settle DIR")?;
    let config = store::Config {
        background: false,
        retention: Duration::from_secs(365 * 86_400),
        // Two parts are worth merging here: nothing more will come.
        merge_width: 2,
        ..store::Config::default()
    };
    let clock = Arc::new(Real(Instant::now()));
    let store = store::Store::open(&PathBuf::from(folder), config, clock)?;
    store.flush()?;
    let merges = store.compact()?;
    let stats = store.stats();
    println!(
        "{{\"samples\":{},\"parts\":{},\"merges\":{merges},\"data_bytes\":{},\"index_bytes\":{}}}",
        stats.part_samples, stats.parts, stats.chunk_bytes, stats.index_bytes
    );
    store.close()?;
    Ok(())
}
