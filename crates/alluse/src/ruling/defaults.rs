//! The rules that come with the program: for the host, for the server itself, for the tuning loop,
//! and for what the analysis finds. `alluse rules defaults` prints them.

/// Files by name.
pub(crate) const FILES: [(&str, &str); 4] = [
    (
        "defaults/alluse.yml",
        include_str!("../../rules/alluse.yml"),
    ),
    (
        "defaults/findings.yml",
        include_str!("../../rules/findings.yml"),
    ),
    ("defaults/host.yml", include_str!("../../rules/host.yml")),
    ("defaults/loop.yml", include_str!("../../rules/loop.yml")),
];

/// Their tests, in the same order: for each alert one that makes it fire and one that keeps it
/// quiet.
pub(crate) const TESTS: [(&str, &str); 4] = [
    (
        "defaults/alluse.test.yml",
        include_str!("../../rules/alluse.test.yml"),
    ),
    (
        "defaults/findings.test.yml",
        include_str!("../../rules/findings.test.yml"),
    ),
    (
        "defaults/host.test.yml",
        include_str!("../../rules/host.test.yml"),
    ),
    (
        "defaults/loop.test.yml",
        include_str!("../../rules/loop.test.yml"),
    ),
];
