//! A counter's rate per second between successive samples, by the time actually between them.
//!
//! A fall is a restart: as in Prometheus, the counter is taken to have restarted from zero.

/// Turns one counter into its rate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate {
    last: Option<(i64, f64)>,
}

impl Rate {
    /// The rate since the last sample, per second; `None` for the first one. `time_ms` rises.
    pub fn observe(&mut self, time_ms: i64, value: f64) -> Option<f64> {
        let (last_ms, last) = self.last.replace((time_ms, value))?;
        let increase = if value >= last { value - last } else { value };
        Some(increase * 1e3 / (time_ms - last_ms) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uneven_intervals_do_not_change_the_rate_and_a_restart_is_not_negative() {
        let mut rate = Rate::default();
        let seen: Vec<_> = [(0, 10.0), (1000, 15.0), (3500, 27.5), (4500, 5.0)]
            .into_iter()
            .map(|(t, v)| rate.observe(t, v))
            .collect();
        assert_eq!(seen, [None, Some(5.0), Some(5.0), Some(5.0)]);
    }
}
