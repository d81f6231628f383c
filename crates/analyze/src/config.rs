//! What an [`Analyzer`](crate::Analyzer) may spend and how often it may be wrong.

/// Settings of the analysis of live series.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Series watched at once. More are counted in `Stats::overflow` and not watched; each costs
    /// at most 4 KB.
    pub max_series: usize,
    /// A series not seen for this long in data time is forgotten, ms.
    pub forget_after_ms: i64,
    /// False anomalies allowed, per series and week of data time.
    pub alarms_per_week: f64,
    /// False change points allowed, per series and week of data time.
    pub change_points_per_week: f64,
    /// Points a series must have shown before anything is said about it, at least 32.
    pub min_history: u32,
    /// After an incident a series stays silent this long, ms (and at least 8 sampling intervals).
    pub refractory_ms: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_series: 10_000,
            forget_after_ms: 3_600_000,
            alarms_per_week: 1.0,
            change_points_per_week: 0.25,
            min_history: 150,
            refractory_ms: 300_000,
        }
    }
}
