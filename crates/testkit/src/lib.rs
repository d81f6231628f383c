//! Virtual time, faulty disks, simulated targets: for tests only.
