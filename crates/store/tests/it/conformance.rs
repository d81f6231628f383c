//! The suite every store behind the ports must pass.

use store::Store;
use testkit::{Capabilities, Subject, conformance};

use crate::{
    sim_disk::SimDisk,
    support::{HandClock, START_MS, quiet},
};

#[test]
fn the_embedded_store_conforms() {
    let disk = SimDisk::default();
    let store = Store::open_on(std::sync::Arc::new(disk), quiet(), HandClock::new()).unwrap();
    let left_out = conformance(&Subject {
        sink: &store,
        reader: &store,
        capabilities: Capabilities::ALL,
        now_ms: START_MS,
        settle: &|| {},
    });
    assert_eq!(left_out, [""; 0]);
}

#[test]
fn it_conforms_when_everything_was_flushed_to_parts() {
    let disk = SimDisk::default();
    let store = Store::open_on(std::sync::Arc::new(disk), quiet(), HandClock::new()).unwrap();
    let left_out = conformance(&Subject {
        sink: &store,
        reader: &store,
        capabilities: Capabilities::ALL,
        now_ms: START_MS,
        settle: &|| store.flush().unwrap(),
    });
    assert_eq!(left_out, [""; 0]);
}
