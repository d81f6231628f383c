//! StatsD's task: hears its sockets all the time, and flushes on a tick.

use tokio::sync::watch;

use super::shell::Shell;
use crate::{statsd_socket::StatsdSocket, ticker::Ticker};

/// As in the label `kind`.
const KIND: &str = "statsd";

impl Shell {
    /// Hears until stopped; then what was heard last is flushed, and everything marked stale.
    pub(super) async fn hear(self, mut socket: StatsdSocket, mut stopped: watch::Receiver<()>) {
        let (wall_ms, monotonic) = (self.clock.wall_ms(), self.clock.monotonic());
        let mut ticker = Ticker::new(socket.flush_interval, wall_ms, monotonic);
        let tally = self.handle.tally().clone();
        let (mut owed, mut last_ms) = (Vec::new(), i64::MIN);
        loop {
            let wait = ticker.deadline().saturating_sub(self.clock.monotonic());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = socket.hear(&tally) => continue,
                // The sender says nothing: it is dropped when the task is to end.
                _ = stopped.changed() => break,
            }
            if let Some(tick) = ticker.fire(self.clock.wall_ms(), self.clock.monotonic()) {
                last_ms = tick.stamp_ms;
                let batch = socket.flush(tick.stamp_ms, &tally);
                self.send(KIND, batch, &mut owed);
            }
        }
        let now_ms = self.clock.wall_ms().max(last_ms.saturating_add(1));
        let batch = socket.flush(now_ms, &tally);
        self.send(KIND, batch, &mut owed);
        let ends = socket.end(now_ms.saturating_add(1));
        self.send(KIND, ends, &mut owed);
    }
}
