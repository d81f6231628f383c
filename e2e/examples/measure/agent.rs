//! The agent: bytes on its connection against one record a message, what it uses, what it can take.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use e2e::{
    figures::{Spread, quantile},
    http::Client,
    proc::{self, Threads},
    program::Program,
    proxy::Proxy,
    server::Server,
};
use model::{Batch, Labels, Sample};
use remote::write::{Protocol, bodies};
use serde_json::Value;

const QUIET: &str = "[collect]\nhost = \"off\"\n";

/// Host sampling at 1 s is watched for so long.
const WATCHED: Duration = Duration::from_secs(40);

/// Records sent one a message, to see what each costs on the connection.
const RECORDS: usize = 500;

/// Series of the load, and samples of each in one request.
const SERIES: usize = 1_000;
const EACH: usize = 10;

struct Agent {
    program: Program,
    http: Client,
}

impl Agent {
    async fn start(folder: &Path, to: &str, config: &str) -> Self {
        let file = folder.join("agent.toml");
        std::fs::write(&file, config).expect("the folder can be written");
        let (file, data) = (file.display().to_string(), folder.join("agent"));
        let data = data.display().to_string();
        let arguments = [
            "agent",
            "--to",
            to,
            "--listen=127.0.0.1:0",
            "--config",
            &file,
            "--data",
            &data,
        ];
        let program = Program::start(&arguments, &folder.join("agent.log")).await;
        let http = Client::new(&program.url);
        Self { program, http }
    }

    async fn metric(&self, name: &str) -> f64 {
        let text = self.http.get("/metrics").await.text;
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|l| l.trim().parse().ok())
            .expect("the agent counts it")
    }
}

pub(crate) async fn measure() {
    bandwidth().await;
    throughput().await;
    latency().await;
}

/// Bytes of both directions at the agent's connection, all of HTTP included.
async fn bandwidth() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(folder.path(), QUIET).await;
    let proxy = Proxy::start(&server.program.url).await;
    let agent = Agent::start(folder.path(), &proxy.url, "").await;
    // The first requests introduce what later ones repeat: both belong to it.
    let mut cpu = Threads::of(agent.program.pid());
    let before = cpu.cpu_seconds();
    tokio::time::sleep(WATCHED).await;
    let share = 100.0 * (cpu.cpu_seconds() - before) / WATCHED.as_secs_f64();
    let samples = agent.metric("alluse_remote_samples_total").await;
    let (up, down) = proxy.bytes();
    let mib = |field| proc::memory_bytes(agent.program.pid(), field) as f64 / f64::from(1 << 20);
    let ours = (up + down) as f64 / samples;
    println!(
        "agent, this host at 1 s: {samples} samples in {WATCHED:?}, {ours:.2} bytes a sample at the socket ({:.2} up)",
        up as f64 / samples
    );
    println!(
        "agent: {share:.2} % of a core, {:.1} MiB resident, {:.1} MiB of it its own",
        mib("VmRSS"),
        mib("RssAnon")
    );
    let recorded = recorded(&server).await;
    assert!(agent.program.terminate().await.success());
    compare(&server, &recorded, ours).await;
}

/// What the agent sent, read back, in order of time.
async fn recorded(server: &Server) -> Batch {
    let rows = server.query(r#"{__name__!=""}[1h]"#).await;
    let mut samples = Vec::new();
    for row in rows {
        let pairs = row["metric"].as_object().expect("labels are an object");
        let labels = pairs.iter().map(|(n, v)| (n.clone(), text(v)));
        let labels = Labels::from_pairs(labels);
        for point in row["values"].as_array().into_iter().flatten() {
            let time_ms = (point[0].as_f64().expect("seconds") * 1_000.0).round() as i64;
            let value = text(&point[1]).parse().expect("a number");
            samples.push(Sample::float(labels.clone(), time_ms, value));
        }
    }
    samples.sort_by_key(|s| s.time_ms);
    Batch {
        samples,
        ..Batch::default()
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The same samples one a message, through a proxy as well; and a tick a message.
async fn compare(server: &Server, recorded: &Batch, ours: f64) {
    let stride = (recorded.samples.len() / RECORDS).max(1);
    let some: Vec<&Sample> = recorded.samples.iter().step_by(stride).collect();
    let single = |sample: &Sample| Batch {
        samples: vec![sample.clone()],
        ..Batch::default()
    };
    let json = |sample: &Sample| {
        let model::Value::Float(value) = sample.value else {
            unreachable!("only floats were read");
        };
        let labels = serde_json::to_string(&sample.labels).expect("labels are JSON");
        let time_ms = sample.time_ms;
        let body = format!(r#"{{"metric":{labels},"values":[{value}],"timestamps":[{time_ms}]}}"#);
        (
            "/api/v1/import",
            "application/json",
            "identity",
            body.into_bytes(),
        )
    };
    let remote_write = |sample: &Sample| {
        let body = bodies(&single(sample), Protocol::V1, 1).remove(0);
        ("/api/v1/write", "application/x-protobuf", "snappy", body)
    };
    let by_json = each_costs(server, some.iter().map(|s| json(s))).await;
    let by_write = each_costs(server, some.iter().map(|s| remote_write(s))).await;
    let tick = tick_bytes(recorded);
    for (what, cost) in [
        ("one JSON record a message", by_json),
        ("one sample a message, remote write 1.0 in snappy", by_write),
        (
            "a tick a message, remote write 1.0 in snappy, bodies only",
            tick,
        ),
    ] {
        println!(
            "{what}: {cost:.1} bytes a sample; ours {:+.1} %",
            100.0 * (ours / cost - 1.0)
        );
    }
}

/// Mean bytes of an exchange at the socket, both directions, on one kept connection.
async fn each_costs(
    server: &Server,
    messages: impl Iterator<Item = (&'static str, &'static str, &'static str, Vec<u8>)>,
) -> f64 {
    let proxy = Proxy::start(&server.program.url).await;
    let client = reqwest::Client::new();
    let mut count = 0.0;
    for (path, kind, encoding, body) in messages {
        let request = client
            .post(format!("{}{path}", proxy.url))
            .header("content-type", kind)
            .header("content-encoding", encoding);
        let reply = request.body(body).send().await.expect("a reply");
        assert_eq!(reply.status(), 204);
        count += 1.0;
    }
    let (up, down) = proxy.bytes();
    (up + down) as f64 / count
}

/// What an ordinary sender makes of it: the samples of each second in one snappy body.
fn tick_bytes(recorded: &Batch) -> f64 {
    let ticks = recorded.samples.chunk_by(|a, b| a.time_ms == b.time_ms);
    let bytes: usize = ticks
        .flat_map(|samples| {
            let batch = Batch {
                samples: samples.to_vec(),
                ..Batch::default()
            };
            bodies(&batch, Protocol::V1, usize::MAX)
        })
        .map(|body| body.len())
        .sum();
    bytes as f64 / recorded.samples.len() as f64
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn now_ms() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    i64::try_from(since.as_millis()).expect("a small number")
}

/// Requests of the load: rising times, so that nothing is a repeat.
fn load(requests: usize, first_ms: i64) -> Vec<Vec<u8>> {
    let labels: Vec<Labels> = (0..SERIES)
        .map(|i| {
            Labels::from_pairs([
                ("__name__", format!("load_metric_{}", i % 50)),
                ("instance", format!("host-{}:9100", i / 50)),
                ("job", "node".to_owned()),
                ("cpu", (i % 8).to_string()),
            ])
        })
        .collect();
    let request = |r: usize| {
        let steps = (r * EACH..(r + 1) * EACH).flat_map(|step| {
            let time_ms = first_ms + step as i64 * 100;
            labels
                .iter()
                .enumerate()
                .map(move |(i, l)| Sample::float(l.clone(), time_ms, (i * 7 + step * step) as f64))
        });
        let batch = Batch {
            samples: steps.collect(),
            ..Batch::default()
        };
        bodies(&batch, Protocol::V2, usize::MAX).remove(0)
    };
    (0..requests).map(request).collect()
}

/// Points pushed to the agent as fast as it takes them, on one core and on two.
async fn throughput() {
    for cores in ["0", "0,1"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Server::start(folder.path(), QUIET).await;
        let agent = Agent::start(folder.path(), &server.program.url, QUIET).await;
        pin(agent.program.pid(), cores);
        let connections = cores.split(',').count();
        let mut tasks = Vec::new();
        let mut cpu = Threads::of(agent.program.pid());
        let (begun, cpu_before) = (now(), cpu.cpu_seconds());
        for connection in 0..connections {
            let url = format!("{}/api/v1/write", agent.program.url);
            // Times of each connection apart: none refuses or repeats the other's.
            let bodies = load(100, now_ms() - 3_600_000 * (connection as i64 + 1));
            tasks.push(tokio::spawn(push_all(url, bodies)));
        }
        let mut points = 0.0;
        for task in tasks {
            points += task.await.expect("a pushing task ends");
        }
        let taken = begun.elapsed().as_secs_f64();
        while agent.metric("alluse_remote_samples_total").await < points {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let through = begun.elapsed().as_secs_f64();
        let used = cpu.cpu_seconds() - cpu_before;
        println!(
            "agent on cores {cores}: {:.0} points/s taken, {:.0} points/s acknowledged by the server, {:.0} points/CPU-s",
            points / taken,
            points / through,
            points / used
        );
    }
}

fn pin(pid: u32, cores: &str) {
    let pinned = std::process::Command::new("taskset")
        .args(["-a", "-c", "-p", cores, &pid.to_string()])
        .stdout(std::process::Stdio::null())
        .status();
    assert!(pinned.is_ok_and(|s| s.success()), "taskset pins a process");
}

async fn push_all(url: String, bodies: Vec<Vec<u8>>) -> f64 {
    let client = reqwest::Client::new();
    let mut points = 0.0;
    for body in bodies {
        let request = client
            .post(&url)
            .header(
                "content-type",
                "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            )
            .header("content-encoding", "snappy");
        let reply = request.body(body).send().await.expect("a reply");
        assert_eq!(reply.status(), 204);
        points += (SERIES * EACH) as f64;
    }
    points
}

/// From a push at the agent to its answer by the server's query API.
async fn latency() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(folder.path(), QUIET).await;
    let quick = format!("{QUIET}[agent.queue]\nbatch_delay_max = \"10ms\"\n");
    let agent = Agent::start(folder.path(), &server.program.url, &quick).await;
    let mut waits = Vec::new();
    for n in 0..100 {
        let line = format!(
            r#"{{"metric":{{"__name__":"probe"}},"values":[{n}],"timestamps":[{}]}}"#,
            now_ms()
        );
        let begun = now();
        agent
            .http
            .raw("/api/v1/import", "application/json", line)
            .await;
        while server.number("probe").await != Some(f64::from(n)) {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        waits.push(1_000.0 * begun.elapsed().as_secs_f64());
    }
    println!(
        "pushed to the agent (delay 10 ms) until the server answers with it, ms: {:.1}; p99 {:.1}",
        Spread::of(&waits),
        quantile(&waits, 0.99).expect("there are some")
    );
}
