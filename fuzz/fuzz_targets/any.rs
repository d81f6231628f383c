//! The program `cargo fuzz` runs: `FUZZ_TARGET=wal cargo fuzz run --features libfuzzer any`.
#![no_main]

use std::sync::LazyLock;

use fuzz::Target;

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    Target::of(
        &std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target of fuzz/src/lib.rs"),
    )
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
