//! Accounts, transfers and their growth: the I/O-bound reference service, with real knobs.
