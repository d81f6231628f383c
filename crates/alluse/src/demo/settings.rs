//! The configuration the demo's server runs on: an example of one, too.

use std::path::Path;

/// Mean latency no change may push the transfers beyond, as a multiple of what was measured with
/// the knobs the ledger starts with.
const SLO_TIMES: f64 = 8.0;

/// Smallest bound of the latency guard, seconds: below this a machine's own hiccups would end
/// trials.
const SLO_MIN_S: f64 = 0.25;

/// The latency guard's bound from the latency measured at the start, seconds.
pub(super) fn slo_s(mean_s: f64) -> f64 {
    (SLO_TIMES * mean_s).max(SLO_MIN_S)
}

/// The configuration file.
pub(super) fn toml(
    listen: std::net::SocketAddr,
    data: &Path,
    seed: u64,
    (ledger, load): (&str, &str),
    slo_s: f64,
) -> String {
    format!(
        r#"# The configuration of `alluse demo`.

[server]
listen = "{listen}"
data = {data:?}

[governor]
trust = "autonomous"
seed = {seed}
cool_down = "2s"
changes_an_hour = 10000
lease = "6s"

# The client's view of the ledger: latency from the intended start of each request.
[[collect.scrape]]
job = "load"
url = "{load}/metrics"
interval = "500ms"

[[target]]
name = "ledger"
url = "{ledger}"
interval = "500ms"

[target.objective]
name = "mean transfer latency"
query = 'increase(load_request_duration_seconds_sum{{op="transfer"}}[$window]) / increase(load_request_duration_seconds_count{{op="transfer"}}[$window])'
goal = "minimize"
unit = "s"

[[target.guard]]
name = "mean transfer latency over one second"
query = 'increase(load_request_duration_seconds_sum{{op="transfer"}}[1500ms]) / increase(load_request_duration_seconds_count{{op="transfer"}}[1500ms])'
at_most = {slo_s}
breaches = 3
of = 4

[[target.guard]]
name = "share of failed requests"
query = '(sum(increase(load_requests_total{{code!="2xx"}}[1500ms])) or vector(0)) / sum(increase(load_requests_total[1500ms]))'
at_most = 0.01
breaches = 2
of = 3

[target.trial]
window = "1500ms"
settle = "500ms"
pairs_max = 16
alpha = 0.05
mde = 0.05

[target.study]
method = "gp"
knobs = ["writer.group.size", "writer.group.linger_us", "cache.accounts.capacity", "executor.concurrency", "readers.connections", "sqlite.page_cache_kib"]
step = 0.5
# What the ledger's maker expects to help under load: commits shared by a group; then larger
# groups, with enough requests at work to fill them.
try_first = [{{ "writer.group.size" = 8 }}, {{ "writer.group.size" = 32, "executor.concurrency" = 48 }}]
"#,
        data = data.display().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_runs_on_a_configuration_without_mistakes() {
        let listen = "127.0.0.1:0".parse().unwrap();
        let urls = ("http://127.0.0.1:1", "http://127.0.0.1:2");
        let text = toml(listen, Path::new("/tmp/x"), 7, urls, 0.05);
        let config = crate::config::read("demo.toml", &text, &[]).unwrap();
        assert_eq!(config.targets[0].guards.len(), 2);
        assert_eq!(config.governor.seed, 7);
    }
}
