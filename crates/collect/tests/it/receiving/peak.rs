//! How much memory a piece of code takes at its highest, counted per thread by the allocator.
#![expect(
    unsafe_code,
    reason = "an allocator can only be written so; it only counts"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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

/// What `act` gives, and the bytes it held at most beyond what was held before.
pub(super) fn peak_bytes<T>(act: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    let result = act();
    let peak = PEAK.with(Cell::get) - before;
    (result, usize::try_from(peak).unwrap_or_default())
}

#[test]
fn the_counter_sees_what_is_allocated_and_forgets_what_is_freed() {
    let ((), peak) = peak_bytes(|| {
        for _ in 0..10 {
            std::hint::black_box(vec![1_u8; 1 << 20]);
        }
    });
    assert!((1 << 20..2 << 20).contains(&peak), "{peak}");
}
