//! The ledger's rules, its books, its service and its crashes.

mod oracle;
