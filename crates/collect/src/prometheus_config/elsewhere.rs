//! The parts of `prometheus.yml` that are not about scraping.

use yaml::Table;

/// Top-level keys without effect here, and why.
const PARTS: [(&str, &str); 5] = [
    ("storage", "see [store] in alluse.toml"),
    ("tracing", "this server does not trace itself"),
    ("remote_write", "to send samples on, run `alluse agent`"),
    ("remote_read", "other stores are not read through this one"),
    (
        "otlp",
        "OTLP is received at /api/v1/otlp/v1/metrics with fixed rules",
    ),
];

pub(super) fn read(root: &Table<'_>) {
    for (key, why) in PARTS {
        root.ignored(key, why);
    }
    root.ignored("runtime", "it is about Go's run time");
}
