//! Host and process sampling on fixture trees, and once on the real `/proc`.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use collect::{Host, HostConfig, Process, ProcessConfig, Tally};
use model::{Batch, Value, is_stale};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

/// Values by series as text.
fn values(batch: &Batch) -> BTreeMap<String, f64> {
    let pair = |s: &model::Sample| match s.value {
        Value::Float(value) => (s.labels.to_string(), value),
        Value::Histogram(_) => panic!("the host has no histograms"),
    };
    batch.samples.iter().map(pair).collect()
}

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn stat(user: u64, idle: u64, switches: u64) -> String {
    format!(
        "cpu  {0} 10 20 {1} 5 1 2 3 4 5\ncpu0 {0} 10 20 {1} 5 1 2 3 4 5\nintr 99 1 2\n\
         ctxt {switches}\nbtime 1700000000\nprocesses 7\nprocs_running 2\nprocs_blocked 1\n",
        user, idle
    )
}

fn fixture() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let at = |file: &str, text: &str| write(root.path(), file, text);
    at("proc/stat", &stat(1000, 5000, 100));
    at("proc/loadavg", "0.20 0.18 0.12 3/80 11206\n");
    at(
        "proc/meminfo",
        "MemTotal:       1000 kB\nMemAvailable:    250 kB\nActive(anon):  7 kB\nHugePages_Total:       3\n",
    );
    at("proc/vmstat", "nr_free_pages 5\npgfault 12\noom_kill 1\n");
    at(
        "proc/diskstats",
        "   7       0 loop0 1 1 1 1 1 1 1 1 1 1 1\n 254       0 vda 10 1 20 500 5 2 40 250 1 1000 750 1 2 3 4 5 6\n 254       1 vda1 1 1 1 1 1 1 1 1 1 1 1\n",
    );
    at(
        "proc/self/mounts",
        "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/vdb /no\\040such xfs rw 0 0\n",
    );
    at(
        "proc/net/dev",
        "Inter-|   Receive |  Transmit\n face |bytes packets\n  eth0: 1000 2 0 0 0 0 0 3 500 4 0 0 0 0 0 0\n    lo:7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n",
    );
    at(
        "proc/net/snmp",
        "Ip: Forwarding\nIp: 1\nTcp: RtoMin ActiveOpens CurrEstab\nTcp: 200 17 4\n",
    );
    at(
        "proc/net/netstat",
        "TcpExt: SyncookiesSent ListenDrops\nTcpExt: 0 2\n",
    );
    for resource in ["cpu", "io", "memory"] {
        let line =
            |kind: &str, us: u64| format!("{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={us}\n");
        at(
            &format!("proc/pressure/{resource}"),
            &(line("some", 2_500_000) + &line("full", 1_000_000)),
        );
    }
    at("proc/sys/fs/file-nr", "837\t0\t9223372036854775807\n");
    root
}

fn host(root: &Path) -> (Host, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let config = HostConfig {
        root: root.to_owned(),
        labels: Vec::new(),
        ..HostConfig::default()
    };
    (Host::new(&config, tally.clone()), tally)
}

#[test]
fn names_and_units_are_those_of_node_exporter() {
    let root = fixture();
    let (mut host, tally) = host(root.path());
    let found = values(&host.sample(1_000, SECOND));
    let expected = [
        (r#"node_cpu_seconds_total{cpu="0", mode="user"}"#, 10.0),
        (r#"node_cpu_seconds_total{cpu="0", mode="steal"}"#, 0.03),
        (
            r#"node_cpu_guest_seconds_total{cpu="0", mode="nice"}"#,
            0.05,
        ),
        ("node_intr_total", 99.0),
        ("node_context_switches_total", 100.0),
        ("node_boot_time_seconds", 1.7e9),
        ("node_forks_total", 7.0),
        ("node_procs_running", 2.0),
        ("node_procs_blocked", 1.0),
        ("node_load15", 0.12),
        ("node_processes_threads", 80.0),
        ("node_memory_MemTotal_bytes", 1_024_000.0),
        ("node_memory_Active_anon_bytes", 7_168.0),
        ("node_memory_HugePages_Total", 3.0),
        ("alluse_host_memory_used_ratio", 0.75),
        ("node_vmstat_pgfault", 12.0),
        (r#"node_disk_reads_completed_total{device="vda"}"#, 10.0),
        (r#"node_disk_read_bytes_total{device="vda"}"#, 10_240.0),
        (r#"node_disk_written_bytes_total{device="vda"}"#, 20_480.0),
        (r#"node_disk_io_time_seconds_total{device="vda"}"#, 1.0),
        (
            r#"node_disk_flush_requests_time_seconds_total{device="vda"}"#,
            0.006,
        ),
        (
            r#"node_network_receive_bytes_total{device="eth0"}"#,
            1_000.0,
        ),
        (
            r#"node_network_receive_multicast_total{device="eth0"}"#,
            3.0,
        ),
        (r#"node_network_transmit_bytes_total{device="lo"}"#, 7.0),
        ("node_netstat_Tcp_ActiveOpens", 17.0),
        ("node_netstat_TcpExt_ListenDrops", 2.0),
        ("node_pressure_cpu_waiting_seconds_total", 2.5),
        ("node_pressure_memory_stalled_seconds_total", 1.0),
        ("node_filefd_allocated", 837.0),
        (
            r#"node_filesystem_device_error{device="/dev/vda", fstype="ext4", mountpoint="/"}"#,
            0.0,
        ),
        (
            r#"node_filesystem_device_error{device="/dev/vdb", fstype="xfs", mountpoint="/no such"}"#,
            1.0,
        ),
    ];
    for (series, value) in expected {
        assert_eq!(found.get(series), Some(&value), "{series}\n{found:#?}");
    }
    for absent in [
        "loop0",
        "vda1",
        "per_second",
        "cpu_utilization",
        "stall_ratio",
        "\"/proc\"",
    ] {
        let present: Vec<_> = found.keys().filter(|key| key.contains(absent)).collect();
        assert!(present.is_empty(), "{present:?}");
    }
    assert_eq!(tally.samples(0), [], "no source failed");
}

#[test]
fn rates_come_from_differences_over_monotonic_time() {
    let root = fixture();
    let (mut host, _) = host(root.path());
    host.sample(0, SECOND);
    write(root.path(), "proc/stat", &stat(1100, 5300, 500));
    write(
        root.path(),
        "proc/diskstats",
        " 254 0 vda 30 1 2020 500 5 2 40 250 1 2000 750\n",
    );
    write(
        root.path(),
        "proc/pressure/cpu",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=3000000\n",
    );
    // Two seconds later by the monotonic clock; the tick's own time says nothing of it.
    let found = values(&host.sample(9_000, 3 * SECOND));
    let expected = [
        (r#"alluse_host_cpu_utilization_ratio{mode="user"}"#, 0.25),
        (r#"alluse_host_cpu_utilization_ratio{mode="idle"}"#, 0.75),
        (r#"alluse_host_cpu_core_utilization_ratio{cpu="0"}"#, 0.25),
        ("alluse_host_context_switches_per_second", 200.0),
        (r#"alluse_host_disk_reads_per_second{device="vda"}"#, 10.0),
        (
            r#"alluse_host_disk_read_bytes_per_second{device="vda"}"#,
            512_000.0,
        ),
        (r#"alluse_host_disk_busy_ratio{device="vda"}"#, 0.5),
        (
            r#"alluse_host_pressure_stall_ratio{kind="some", resource="cpu"}"#,
            0.25,
        ),
    ];
    for (series, value) in expected {
        assert_eq!(found.get(series), Some(&value), "{series}\n{found:#?}");
    }
    // The counter fell: the device was reset. No rate, and not a negative one.
    write(
        root.path(),
        "proc/diskstats",
        " 254 0 vda 1 0 0 0 0 0 0 0 0 0 0\n",
    );
    let found = host.sample(10_000, 4 * SECOND);
    let reads = found
        .samples
        .iter()
        .find(|s| s.labels.metric_name() == "alluse_host_disk_reads_per_second");
    assert!(reads.is_some_and(|s| matches!(s.value, Value::Float(v) if is_stale(v))));
}

#[test]
fn a_missing_source_is_an_absent_series_and_counted_once() {
    let root = fixture();
    fs::remove_file(root.path().join("proc/meminfo")).unwrap();
    let (mut host, tally) = host(root.path());
    let errors = |source| tally.get("alluse_collect_source_errors_total", &[("source", source)]);
    for second in 1..5 {
        let found = values(&host.sample(second * 1_000, SECOND * u32::try_from(second).unwrap()));
        assert!(
            !found.keys().any(|key| key.contains("memory_Mem")),
            "never a default value"
        );
        assert!(found.contains_key("node_load1"), "the others go on");
    }
    assert_eq!((errors("meminfo"), errors("cpu")), (Some(1.0), None));
    write(root.path(), "proc/meminfo", "MemTotal: 5 kB\n");
    assert!(values(&host.sample(9_000, 9 * SECOND)).contains_key("node_memory_MemTotal_bytes"));
    fs::remove_file(root.path().join("proc/meminfo")).unwrap();
    assert_eq!(errors("meminfo"), Some(1.0));
}

#[test]
fn a_device_that_goes_is_marked_stale_and_may_come_back() {
    let root = fixture();
    let (mut host, _) = host(root.path());
    let series = r#"node_network_receive_bytes_total{device="eth0"}"#;
    let head = "Inter-|   Receive |  Transmit\n face |bytes packets\n";
    assert_eq!(values(&host.sample(1_000, SECOND))[series], 1000.0);
    write(root.path(), "proc/net/dev", head);
    assert!(is_stale(values(&host.sample(2_000, 2 * SECOND))[series]));
    assert!(!values(&host.sample(3_000, 3 * SECOND)).contains_key(series));
    write(
        root.path(),
        "proc/net/dev",
        &format!("{head} eth0: 5 2 0 0 0 0 0 3 500 4 0 0 0 0 0 0\n"),
    );
    assert_eq!(values(&host.sample(4_000, 4 * SECOND))[series], 5.0);
    let ended = host.end(5_000);
    assert!(!ended.samples.is_empty());
    assert!(values(&ended).values().all(|value| is_stale(*value)));
}

#[test]
fn metadata_is_said_once() {
    let root = fixture();
    let (mut host, _) = host(root.path());
    let first = host.sample(1_000, SECOND);
    for sample in &first.samples {
        let name = sample.labels.metric_name();
        assert!(
            first.metadata.iter().any(|m| m.family == name),
            "{name} is not described"
        );
    }
    let mut families: Vec<_> = first.metadata.iter().map(|m| m.family.as_str()).collect();
    families.sort_unstable();
    let before = families.len();
    families.dedup();
    assert_eq!(families.len(), before, "a family described twice");
    assert_eq!(host.sample(2_000, 2 * SECOND).metadata, []);
}

#[test]
fn this_very_host_can_be_sampled() {
    let (mut host, tally) = host(Path::new("/"));
    host.sample(1_000, SECOND);
    let found = values(&host.sample(2_000, 2 * SECOND));
    for series in [
        "node_load1",
        "node_boot_time_seconds",
        "node_memory_MemAvailable_bytes",
    ] {
        assert!(
            found.contains_key(series),
            "{series}: {:?}",
            tally.samples(0)
        );
    }
    let modes = found
        .iter()
        .filter(|(key, _)| key.starts_with("alluse_host_cpu_utilization"));
    let total: f64 = modes.map(|(_, share)| share).sum();
    // Two readings may fall into one tick of the kernel: then there are no shares at all.
    assert!(total == 0.0 || (total - 1.0).abs() < 1e-9, "{total}");
}

#[test]
fn a_process_is_measured_and_its_end_noticed() {
    let root = fixture();
    let line = |cpu: u64, start: u64| {
        format!("7 (some (d)aemon) S 1 7 7 0 -1 0 0 0 0 0 {cpu} 50 0 0 20 0 3 0 {start} 8192 2 0\n")
    };
    write(root.path(), "proc/7/stat", &line(100, 2_000));
    for fd in 0..4 {
        write(root.path(), &format!("proc/7/fd/{fd}"), "");
    }
    let config = ProcessConfig {
        root: root.path().to_owned(),
        ..ProcessConfig::new(7, "daemon")
    };
    let tally = Arc::new(Tally::default());
    let mut process = Process::new(&config, tally.clone());
    let found = values(&process.sample(1_000, SECOND));
    let page = rustix::param::page_size() as f64;
    let of = |name: &str| format!(r#"{name}{{job="daemon"}}"#);
    assert_eq!(found[&of("process_cpu_seconds_total")], 1.5);
    assert_eq!(found[&of("process_resident_memory_bytes")], 2.0 * page);
    assert_eq!(found[&of("process_threads")], 3.0);
    assert_eq!(found[&of("process_open_fds")], 4.0);
    assert_eq!(found[&of("process_start_time_seconds")], 1_700_000_020.0);
    write(root.path(), "proc/7/stat", &line(300, 2_000));
    let found = values(&process.sample(2_000, 2 * SECOND));
    assert_eq!(found[&of("alluse_process_cpu_cores")], 2.0);
    // Another process with the same number: no rate across the two.
    write(root.path(), "proc/7/stat", &line(900, 9_000));
    let found = values(&process.sample(3_000, 3 * SECOND));
    assert!(is_stale(found[&of("alluse_process_cpu_cores")]));
    write(root.path(), "proc/7/stat", "");
    let found = values(&process.sample(4_000, 4 * SECOND));
    assert!(found.values().all(|value| is_stale(*value)) && !found.is_empty());
    let errors = tally.get(
        "alluse_collect_source_errors_total",
        &[("source", "process")],
    );
    assert_eq!(errors, Some(1.0));
}

#[test]
fn this_very_process_can_be_measured() {
    let config = ProcessConfig::new(std::process::id(), "self");
    let found = values(&Process::new(&config, Arc::default()).sample(1_000, SECOND));
    let of = |name: &str| found[&format!(r#"{name}{{job="self"}}"#)];
    assert!(of("process_resident_memory_bytes") > 1e5);
    assert!(of("process_open_fds") >= 3.0 && of("process_threads") >= 1.0);
}
