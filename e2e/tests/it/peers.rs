//! Real peers: Prometheus scrapes us and remote-writes to us; OpenTelemetry's Python SDK exports
//! to us over HTTP and gRPC. Each test skips itself, saying so, where its peer cannot be had.

use std::path::{Path, PathBuf};

use e2e::{prometheus::Prometheus, server::Server, wait};
use tokio::process::Command;

const QUIET: &str = "[collect]\nhost = \"off\"\n";

#[tokio::test]
async fn prometheus_scrapes_our_metrics_and_writes_what_it_scraped_to_us() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), QUIET).await;
    let url = &server.http.url;
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, external_labels: {{by: prometheus}}}}\n\
         scrape_configs: [{{job_name: seen, static_configs: [{{targets: ['{}']}}]}}]\n\
         remote_write: [{{url: '{url}/api/v1/write', queue_config: {{batch_send_deadline: 200ms}}}}]\n",
        url.trim_start_matches("http://")
    );
    let Some(peer) = Prometheus::start(folder.path(), &config, &[]).await else {
        return;
    };
    // Everything we say is text Prometheus reads, and everything it writes is taken.
    server
        .answered(r#"up{job="seen",by="prometheus"} == 1"#)
        .await;
    server
        .answered(r#"alluse_store_series{job="seen",by="prometheus"} > 0"#)
        .await;
    let scraped = r#"scrape_samples_scraped{job="seen",by="prometheus"}"#;
    let rows = server.answered(scraped).await;
    let scraped: f64 = rows[0]["value"][1].as_str().unwrap().parse().unwrap();
    let stored = wait::until("all samples of one scrape", async || {
        let count = r#"count({job="seen",by="prometheus",__name__=~"alluse_.*|process_.*"})"#;
        server
            .number(count)
            .await
            .filter(|count| *count >= scraped * 0.9)
    });
    stored.await;
    assert_eq!(
        server
            .number(r#"count(up{job="seen",by="prometheus"} == 0)"#)
            .await,
        None,
        "{}",
        std::fs::read_to_string(folder.path().join("peer.log")).unwrap()
    );
    drop(peer);
}

/// Exports a counter, an up-down counter and a histogram over both protocols, compressed.
const EXPORT: &str = r#"
import sys
import grpc
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

def export(name, exporter):
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider([reader], resource=Resource.create({"service.name": name}))
    meter = provider.get_meter("e2e")
    meter.create_counter("orders").add(7, {"kind": "a"})
    meter.create_up_down_counter("depth").add(-2)
    latency = meter.create_histogram("latency", unit="s")
    for seconds in (0.1, 0.2, 3):
        latency.record(seconds)
    if not provider.force_flush():
        sys.exit(f"{name}: the export failed")
    provider.shutdown()

url, address = sys.argv[1:3]
export("by-http", Http(endpoint=url + "/v1/metrics", compression=Compression.Gzip))
export("by-http-plain", Http(endpoint=url + "/api/v1/otlp/v1/metrics"))
export("by-grpc", Grpc(endpoint=address, insecure=True, compression=grpc.Compression.Gzip))
export("by-grpc-plain", Grpc(endpoint=address, insecure=True))
"#;

/// A Python with OpenTelemetry's SDK, set up once below the target folder.
async fn python() -> Result<PathBuf, String> {
    let own = std::env::current_exe().unwrap();
    let target = own
        .ancestors()
        .nth(3)
        .expect("target/<profile>/deps/<this>");
    let folder = target.join("e2e-opentelemetry");
    let python = folder.join("bin/python");
    let check = [
        "-c",
        "import opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
    ];
    if run(&python, &check).await.is_ok() {
        return Ok(python);
    }
    let place = folder.display().to_string();
    run(Path::new("python3"), &["-m", "venv", &place]).await?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--retries=1",
        "opentelemetry-sdk",
        "opentelemetry-exporter-otlp-proto-http",
        "opentelemetry-exporter-otlp-proto-grpc",
    ];
    run(&python, &install).await?;
    Ok(python)
}

async fn run(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let output = output.await.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn opentelemetry_s_sdk_exports_to_us_over_http_and_grpc() {
    let python = match python().await {
        Ok(python) => python,
        Err(why) => {
            println!(
                "skipped: OpenTelemetry's Python SDK cannot be had: {}",
                why.trim()
            );
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{QUIET}[collect.otlp_grpc]\nlisten = \"127.0.0.1:0\"\n");
    let server = Server::start(folder.path(), &config).await;
    let address = wait::until("the gRPC address in the log", async || {
        let log = server.program.log();
        let line = log.lines().find(|line| line.contains("OTLP over gRPC"))?;
        let at = line.find("127.0.0.1:")?;
        let rest = &line[at..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
        Some(rest[..end.unwrap_or(rest.len())].to_owned())
    })
    .await;
    run(&python, &["-c", EXPORT, &server.http.url, &address])
        .await
        .unwrap();
    for job in ["by-http", "by-http-plain", "by-grpc", "by-grpc-plain"] {
        for (series, value) in [
            (format!("orders_total{{kind=\"a\",job=\"{job}\"}}"), 7.0),
            (format!("depth{{job=\"{job}\"}}"), -2.0),
            (format!("latency_seconds_count{{job=\"{job}\"}}"), 3.0),
            (
                format!(
                    "latency_seconds_bucket{{job=\"{job}\",le=\"5.0\"}} or latency_seconds_bucket{{job=\"{job}\",le=\"5\"}}"
                ),
                3.0,
            ),
        ] {
            assert_eq!(server.number(&series).await, Some(value), "{series}");
        }
    }
}
