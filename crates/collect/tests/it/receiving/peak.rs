//! This test binary counts what it allocates: see `testkit::peak`.

pub(super) use testkit::peak::peak_bytes;

#[global_allocator]
static ALLOCATOR: testkit::peak::Counting = testkit::peak::Counting;

#[test]
fn the_counter_sees_what_is_allocated_and_forgets_what_is_freed() {
    let ((), peak) = peak_bytes(|| {
        for _ in 0..10 {
            std::hint::black_box(vec![1_u8; 1 << 20]);
        }
    });
    assert!((1 << 20..2 << 20).contains(&peak), "{peak}");
}
