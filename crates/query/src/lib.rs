//! Answers PromQL from any series reader.
