//! A circuit breaker: after so many failures in a row a peer is not asked for a while, then one
//! attempt probes it. (Nygard, "Release It!", 2007.)
//!
//! A state machine without a clock: times are monotonic and given.

use std::time::Duration;

/// When it opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row that open it. 5: one lost reply is no outage.
    pub failures: u32,
    /// How long nothing is tried. 2 s: a restart of the peer is noticed soon.
    pub open_for: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            open_for: Duration::from_secs(2),
        }
    }
}

/// The breaker of one direction of one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    config: BreakerConfig,
    failures: u32,
    /// Nothing is tried before this.
    closed_at: Option<Duration>,
}

impl Breaker {
    /// A closed breaker: everything is tried.
    #[must_use]
    pub fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            failures: 0,
            closed_at: None,
        }
    }

    /// Whether an attempt may be made now. While open, one attempt each `open_for` may: the
    /// probe.
    pub fn admits(&mut self, now: Duration) -> bool {
        match self.closed_at {
            Some(at) if now < at => false,
            Some(_) => {
                self.closed_at = Some(now + self.config.open_for);
                true
            }
            None => true,
        }
    }

    /// Notes how an attempt ended; `failed` means the peer could not be used, not that it refused.
    pub fn note(&mut self, now: Duration, outcome: Outcome) {
        match outcome {
            Outcome::Answered => {
                self.failures = 0;
                self.closed_at = None;
            }
            Outcome::Failed => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= self.config.failures {
                    self.closed_at = Some(now + self.config.open_for);
                }
            }
        }
    }

    /// Whether attempts are being refused.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed_at.is_some()
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The peer spoke, whatever it said of the request.
    Answered,
    /// No reply, or one that says the peer cannot serve now.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_millis;

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(BreakerConfig::default());
        for _ in 0..5 {
            assert!(breaker.admits(AT(0)));
            breaker.note(AT(0), Outcome::Failed);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_does_not() {
        let mut breaker = opened();
        assert!(breaker.is_open() && !breaker.admits(AT(1_999)));
        let mut other = Breaker::new(BreakerConfig::default());
        for outcome in [Outcome::Failed; 4] {
            other.note(AT(0), outcome);
        }
        other.note(AT(0), Outcome::Answered);
        other.note(AT(0), Outcome::Failed);
        assert!(!other.is_open());
    }

    #[test]
    fn one_probe_is_let_through_and_decides() {
        let mut breaker = opened();
        assert!(breaker.admits(AT(2_000)), "the probe");
        assert!(!breaker.admits(AT(2_001)), "only one");
        breaker.note(AT(2_010), Outcome::Failed);
        assert!(!breaker.admits(AT(4_009)));
        assert!(breaker.admits(AT(4_010)));
        breaker.note(AT(4_020), Outcome::Answered);
        assert!(breaker.admits(AT(4_021)) && breaker.admits(AT(4_021)));
    }
}
