//! How much memory a piece of code takes at its highest, counted per thread by the allocator.
//!
//! A test binary counts when it says
//! `#[global_allocator] static ALLOCATOR: testkit::peak::Counting = testkit::peak::Counting;`.
#![expect(
    unsafe_code,
    reason = "an allocator can only be written so; it only counts"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// The system's allocator, counting.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that is ending has no counters any more; nobody measures it.
    let counted = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        PEAK.with(|peak| peak.set(peak.get().max(now.get())));
    });
    counted.unwrap_or_default();
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What `act` gives, and the bytes this thread held at most beyond what it held before.
pub fn peak_bytes<T>(act: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    let result = act();
    let peak = PEAK.with(Cell::get) - before;
    (result, usize::try_from(peak).unwrap_or_default())
}

/// What `act` gives, and the bytes this thread holds now beyond what it held before.
pub fn kept_bytes<T>(act: impl FnOnce() -> T) -> (T, isize) {
    let before = NOW.with(Cell::get);
    let result = act();
    (result, NOW.with(Cell::get) - before)
}
