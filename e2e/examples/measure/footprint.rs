//! What the server itself uses: CPU and memory at 1 s host sampling, nothing else to do.

use std::time::Duration;

use e2e::{
    figures::Spread,
    proc::{self, Threads},
    server::Server,
};

const WARM_UP: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(4);
const WINDOWS: u32 = 10;

pub(crate) async fn measure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(folder.path(), "").await;
    tokio::time::sleep(WARM_UP).await;
    let pid = server.program.pid();
    let mut cpu = Threads::of(pid);
    let mut shares = Vec::new();
    for _ in 0..WINDOWS {
        let before = cpu.cpu_seconds();
        tokio::time::sleep(WINDOW).await;
        shares.push(100.0 * (cpu.cpu_seconds() - before) / WINDOW.as_secs_f64());
    }
    let series = server.look("status").await["series"].clone();
    let mib = |field| proc::memory_bytes(pid, field) as f64 / f64::from(1 << 20);
    println!(
        "server, CPU, per cent of one core: {:.2}",
        Spread::of(&shares)
    );
    println!(
        "server, memory: {:.1} MiB resident, {:.1} MiB at most, {:.1} MiB of it its own (anonymous)",
        mib("VmRSS"),
        mib("VmHWM"),
        mib("RssAnon")
    );
    println!("{series} series, this host and the server itself, each second");
}
