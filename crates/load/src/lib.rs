//! Drives a target with a scenario and records what it saw, without coordinated omission.
