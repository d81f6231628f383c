//! The real binary, a real browser, real peers.
