//! Block headers tell the same as the samples.

use model::{Matcher, Selection, is_stale};
use store::{Config, Store};

use crate::support::{HandClock, START_MS, append, labels, pairs, quiet, select};

#[test]
fn headers_and_samples_tell_the_same_over_any_range() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        block_samples: 50,
        ..quiet()
    };
    let store = Store::open(dir.path(), config, HandClock::new()).unwrap();
    let a = labels("requests_total", "a");
    for i in 0..1000i64 {
        // A counter that resets now and then, with a gap marked as such.
        let value = if i % 331 == 330 {
            model::stale_nan()
        } else {
            ((i * 7) % 1900) as f64
        };
        append(&store, &[(&a, START_MS + i * 1000, value)]);
        if i % 300 == 299 {
            store.flush().unwrap();
        }
    }
    for (from, to) in [(0, 999), (17, 655), (50, 99), (420, 421), (890, 950)] {
        let (from, to) = (START_MS + from * 1000, START_MS + to * 1000);
        let selection = Selection {
            matchers: vec![Matcher::equal("job", "a")],
            from_ms: from,
            to_ms: to,
        };
        let (found, summary) = store.summaries(&selection).unwrap().remove(0);
        assert_eq!(found, a);
        let series = &select(&store, &[("job", model::MatchOp::Equal, "a")], from, to)[0];
        let values: Vec<f64> = pairs(series)
            .into_iter()
            .map(|(_, v)| v)
            .filter(|v| !is_stale(*v))
            .collect();
        let resets = values.windows(2).filter(|w| w[1] < w[0]);
        assert_eq!(summary.count, values.len() as u64);
        assert_eq!(summary.sum, values.iter().sum::<f64>());
        assert_eq!(
            summary.min,
            values.iter().copied().fold(f64::INFINITY, f64::min)
        );
        assert_eq!(
            summary.max,
            values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        );
        assert_eq!(
            (summary.first, summary.last),
            (values[0], values[values.len() - 1])
        );
        assert_eq!(summary.resets, resets.clone().count() as u64);
        assert_eq!(summary.correction, resets.map(|w| w[0]).sum::<f64>());
    }
}
