//! What a read costs: nanoseconds for one `Knob::get`, by type. Run with `--release`.

use std::{hint::black_box, time::Duration};

use knob::{Knob, Registry};

/// Long enough that the timer's own cost vanishes.
const READS: u32 = 200_000_000;

fn main() {
    let registry = Registry::default();
    let int = Knob::int("i", 1)
        .register(&registry)
        .expect("declared once");
    let float = Knob::float("f", 0.5)
        .register(&registry)
        .expect("declared once");
    let time = Knob::millis("d", 5)
        .register(&registry)
        .expect("declared once");
    report("int", || int.get());
    report("float", || float.get());
    report("duration", || time.get());
    report("nothing, the loop itself", || 0);
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figure")]
fn report<T>(what: &str, read: impl Fn() -> T) {
    let took = time(|| {
        for _ in 0..READS {
            black_box(read());
        }
    });
    println!(
        "{what}: {:.2} ns a read",
        took.as_secs_f64() * 1e9 / f64::from(READS)
    );
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn time(work: impl FnOnce()) -> Duration {
    let start = std::time::Instant::now();
    work();
    start.elapsed()
}
