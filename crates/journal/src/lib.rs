//! Keeps the record: studies, trials, changes, decisions, models, users, audit; SQLite, or PostgreSQL.
