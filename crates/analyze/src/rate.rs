//! A counter's rate per second between successive samples, by the time actually between them.
//!
//! A fall is a restart. What was counted between the last sample and the restart is unknown, so
//! there is no rate for that step: a guess would look like an incident.

/// Turns one counter into its rate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate {
    last: Option<(i64, f64)>,
}

impl Rate {
    /// The rate since the last sample, per second; `None` for the first one and across a restart.
    /// `time_ms` rises.
    pub fn observe(&mut self, time_ms: i64, value: f64) -> Option<f64> {
        let (last_ms, last) = self.last.replace((time_ms, value))?;
        (value >= last).then(|| (value - last) * 1e3 / (time_ms - last_ms) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uneven_intervals_do_not_change_the_rate_and_a_restart_has_none() {
        let mut rate = Rate::default();
        let seen: Vec<_> = [
            (0, 10.0),
            (1000, 15.0),
            (3500, 27.5),
            (4500, 5.0),
            (5500, 9.0),
        ]
        .into_iter()
        .map(|(t, v)| rate.observe(t, v))
        .collect();
        assert_eq!(seen, [None, Some(5.0), Some(5.0), None, Some(4.0)]);
    }
}
