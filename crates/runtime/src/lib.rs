//! What a Rust service links in: metrics, caches, pools, an executor, resilience, each with its knobs.
