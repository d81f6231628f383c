//! Control groups on fixture trees of both versions and on this machine; processes found by name.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use collect::{
    CgroupConfig, Cgroups, ProcessConfig, Tally,
    process::{ProcessFinder, Selector},
};
use model::{Batch, Value, is_stale};

const SECOND: Duration = Duration::from_secs(1);

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn values(batch: &Batch) -> BTreeMap<String, f64> {
    let pair = |s: &model::Sample| match s.value {
        Value::Float(value) => (s.labels.to_string(), value),
        Value::Histogram(_) => panic!("a control group has no histograms"),
    };
    batch.samples.iter().map(pair).collect()
}

fn sampler(root: &Path, names: &[&str]) -> Cgroups {
    let config = CgroupConfig {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        root: root.to_owned(),
        labels: Vec::new(),
        ..CgroupConfig::default()
    };
    Cgroups::new(&config, Arc::new(Tally::default()))
}

fn has(values: &BTreeMap<String, f64>, id: &str, expected: &[(&str, f64)]) {
    for (name, value) in expected {
        let key = match name.split_once('@') {
            Some((name, device)) => format!("{name}{{device={device:?}, id={id:?}}}"),
            None => format!("{name}{{id={id:?}}}"),
        };
        assert_eq!(values.get(&key), Some(value), "{key}\n{values:#?}");
    }
}

#[test]
fn the_unified_hierarchy_is_read_and_what_is_not_there_is_absent() {
    let root = tempfile::tempdir().unwrap();
    let at = |file: &str, text: &str| write(root.path(), &format!("sys/fs/cgroup/{file}"), text);
    write(
        root.path(),
        "proc/self/cgroup",
        "0::/app.slice/us.service\n",
    );
    at("cgroup.controllers", "cpu io memory pids\n");
    let cpu = |usage: u64| {
        format!(
            "usage_usec {usage}\nuser_usec 1500000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 250000\n"
        )
    };
    at("app.slice/us.service/cpu.stat", &cpu(2_000_000));
    at("app.slice/us.service/cpu.max", "50000 100000\n");
    at("app.slice/us.service/memory.current", "1000\n");
    at("app.slice/us.service/memory.max", "max\n");
    at(
        "app.slice/us.service/memory.stat",
        "anon 600\nfile 300\ninactive_file 100\npgfault 7\n",
    );
    at(
        "app.slice/us.service/memory.events",
        "low 0\noom 2\noom_kill 1\n",
    );
    at(
        "app.slice/us.service/io.stat",
        "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n",
    );
    at("app.slice/us.service/pids.current", "12\n");
    at(
        "app.slice/us.service/cpu.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=3000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n",
    );
    at("app.slice/other/cpu.stat", "usage_usec 1000000\n");
    let mut cgroups = sampler(root.path(), &["app.slice/*"]);
    let first = values(&cgroups.sample(1_000, SECOND));
    has(
        &first,
        "/app.slice/us.service",
        &[
            ("container_cpu_usage_seconds_total", 2.0),
            ("container_cpu_user_seconds_total", 1.5),
            ("container_cpu_cfs_throttled_periods_total", 4.0),
            ("container_cpu_cfs_throttled_seconds_total", 0.25),
            ("container_spec_cpu_quota", 50_000.0),
            ("container_memory_usage_bytes", 1000.0),
            ("container_memory_working_set_bytes", 900.0),
            ("container_memory_rss", 600.0),
            ("container_oom_events_total", 1.0),
            ("container_fs_writes_bytes_total@8:0", 20.0),
            ("container_threads", 12.0),
            ("container_pressure_cpu_waiting_seconds_total", 3.0),
            ("container_pressure_cpu_stalled_seconds_total", 1.0),
        ],
    );
    assert!(
        !first
            .keys()
            .any(|k| k.contains("memory_limit") || k.contains("swap")),
        "{first:#?}"
    );
    has(
        &first,
        "/app.slice/other",
        &[("container_cpu_usage_seconds_total", 1.0)],
    );
    // One CPU second in two: half a core. The other group goes, and its series end.
    at("app.slice/us.service/cpu.stat", &cpu(3_000_000));
    fs::remove_dir_all(root.path().join("sys/fs/cgroup/app.slice/other")).unwrap();
    let second = values(&cgroups.sample(3_000, 3 * SECOND));
    has(
        &second,
        "/app.slice/us.service",
        &[("alluse_container_cpu_cores", 0.5)],
    );
    let gone = second.get(r#"container_cpu_usage_seconds_total{id="/app.slice/other"}"#);
    assert!(gone.is_some_and(|value| is_stale(*value)));
    assert!(
        values(&cgroups.end(4_000))
            .values()
            .all(|value| is_stale(*value))
    );
}

#[test]
fn version_1_is_read_from_its_controllers() {
    let root = tempfile::tempdir().unwrap();
    let at = |file: &str, text: &str| write(root.path(), &format!("sys/fs/cgroup/{file}"), text);
    write(
        root.path(),
        "proc/self/cgroup",
        "4:memory:/box\n2:cpuacct:/\n1:cpu:/\n3:pids:/\n",
    );
    at("cpuacct/cpuacct.usage", "2500000000\n");
    at("cpuacct/cpuacct.stat", "user 200\nsystem 50\n");
    at("cpu/cpu.cfs_quota_us", "-1\n");
    at(
        "cpu/cpu.stat",
        "nr_periods 3\nnr_throttled 1\nthrottled_time 500000000\n",
    );
    at("memory/box/memory.usage_in_bytes", "500\n");
    at("memory/box/memory.limit_in_bytes", "9223372036854771712\n");
    at(
        "memory/box/memory.stat",
        "rss 1\ntotal_rss 300\ntotal_cache 100\ntotal_inactive_file 50\n",
    );
    at(
        "blkio/box/blkio.throttle.io_service_bytes",
        "8:0 Read 10\n8:0 Write 30\n8:0 Total 40\nTotal 40\n",
    );
    at("pids/pids.current", "5\n");
    at("pids/pids.max", "max\n");
    let found = values(&sampler(root.path(), &[]).sample(1_000, SECOND));
    has(
        &found,
        "/box",
        &[
            ("container_cpu_usage_seconds_total", 2.5),
            ("container_cpu_user_seconds_total", 2.0),
            ("container_cpu_cfs_throttled_seconds_total", 0.5),
            ("container_memory_working_set_bytes", 450.0),
            ("container_memory_rss", 300.0),
            ("container_fs_reads_bytes_total@8:0", 10.0),
            ("container_threads", 5.0),
        ],
    );
    for absent in ["quota", "memory_limit", "threads_max"] {
        assert!(
            !found.keys().any(|key| key.contains(absent)),
            "{absent}: {found:#?}"
        );
    }
}

#[test]
fn the_group_of_this_very_process_says_something() {
    if !Path::new("/sys/fs/cgroup").exists() {
        println!("skipped: no control groups here");
        return;
    }
    let found = values(&sampler(Path::new("/"), &[]).sample(1_000, SECOND));
    assert!(
        found
            .keys()
            .any(|key| key.starts_with("container_cpu_usage_seconds_total")),
        "{found:#?}"
    );
}

#[test]
fn processes_are_found_by_name_as_they_come_and_go() {
    let mut child = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let tally = Arc::new(Tally::default());
    let selector = Selector::Name("sleep".to_owned());
    let mut finder = ProcessFinder::new(selector, ProcessConfig::new(0, "sleepers"), tally);
    let pid = format!("pid=\"{}\"", child.id());
    let ours = |batch: &Batch| -> Vec<f64> {
        let all = values(batch).into_iter();
        all.filter(|(key, _)| key.starts_with("process_threads") && key.contains(&pid))
            .map(|(_, value)| value)
            .collect()
    };
    // Until it is `sleep`, it is a copy of this process.
    let mut at = SECOND;
    while ours(&finder.sample(at.as_millis() as i64, at)) != [1.0] {
        at += 5 * SECOND;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    at += SECOND;
    let gone = finder.sample(at.as_millis() as i64, at);
    assert!(ours(&gone).iter().all(|value| is_stale(*value)) && !ours(&gone).is_empty());
    at += 5 * SECOND;
    assert_eq!(
        ours(&finder.sample(at.as_millis() as i64, at)),
        Vec::<f64>::new()
    );
}
