//! The rules that come with the program: for the host, for the server itself, for the tuning loop,
//! and for what the analysis finds. `alluse rules defaults` prints them.

/// Files by name. Each alert in them has a test that makes it fire and one that keeps it quiet, in
/// the file of the same name that ends in `.test.yml`.
pub(crate) const FILES: [(&str, &str); 0] = [];
