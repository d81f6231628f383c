//! The agent: what it took arrives, whatever happens to the way, to the server, or to itself.

use std::{collections::BTreeSet, path::Path};

use e2e::{
    http::Client,
    program::{Program, output},
    proxy::{Harm, Proxy},
    server::Server,
    service::Service,
    wait,
};

/// A server that collects nothing itself.
const QUIET: &str = "[collect]\nhost = \"off\"\n";

/// First time of a pushed sample, ms: pushes are one a millisecond from here.
fn first_ms() -> i64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_millis()).unwrap() - 600_000
}

struct Agent {
    program: Program,
    http: Client,
}

impl Agent {
    async fn start(folder: &Path, to: &str, service: &Service) -> Self {
        let config = format!(
            "[collect]\nhost = \"off\"\n[[collect.scrape]]\njob = \"clock\"\nurl = \"{}/metrics\"\ninterval = \"100ms\"\n\
             [agent.labels]\nzone = \"a\"\n[agent.peer]\ntimeout = \"2s\"\n\
             [agent.queue]\nbatch_delay_max = \"100ms\"\nretry_max = \"200ms\"\n",
            service.url
        );
        let file = folder.join("agent.toml");
        std::fs::write(&file, config).unwrap();
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

    /// A sample of its own metrics.
    async fn metric(&self, name: &str) -> f64 {
        let text = self.http.get("/metrics").await.text;
        let line = text.lines().find_map(|l| l.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in:\n{text}"))
            .trim()
            .parse()
            .unwrap()
    }

    /// Pushes one numbered sample; acknowledged when this returns.
    async fn push(&self, first_ms: i64, n: i64) {
        let line = format!(
            r#"{{"metric":{{"__name__":"pushed","job":"p"}},"values":[{n}],"timestamps":[{}]}}"#,
            first_ms + n
        );
        let reply = self
            .http
            .raw("/api/v1/import", "application/json", line)
            .await;
        assert_eq!(reply.status, 204, "{}", reply.text);
    }

    /// Waits until so many more scrapes are in the queue: live data goes on.
    async fn collects(&self, samples: f64) {
        let name = "alluse_queue_appended_samples_total ";
        let now = self.metric(name).await;
        wait::until("the agent to collect on", async || {
            (self.metric(name).await >= now + samples).then_some(())
        })
        .await;
    }
}

/// Values of a series at the server, as whole numbers; each time counts once.
async fn values(server: &Server, selector: &str) -> Vec<i64> {
    let rows = server.query(&format!("{selector}[1h]")).await;
    let points = rows
        .iter()
        .flat_map(|row| row["values"].as_array().unwrap());
    points
        .map(|point| point[1].as_str().unwrap().parse::<f64>().unwrap() as i64)
        .collect()
}

async fn all_pushed_are_there(server: &Server, pushed: i64) {
    let want: Vec<i64> = (0..pushed).collect();
    wait::until("every pushed sample to arrive", async || {
        (values(server, "pushed{zone=\"a\"}").await.len() >= want.len()).then_some(())
    })
    .await;
    assert_eq!(
        values(server, "pushed{zone=\"a\"}").await,
        want,
        "all, once, in order"
    );
}

#[tokio::test]
async fn what_the_agent_took_arrives_through_resets_black_holes_lost_replies_and_repeats() {
    let _place = wait::place().await;
    let (at_server, at_agent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::start().await;
    let server = Server::start(at_server.path(), QUIET).await;
    let proxy = Proxy::start(&server.program.url).await;
    let agent = Agent::start(at_agent.path(), &proxy.url, &service).await;
    let first_ms = first_ms();
    let mut pushed = 0;
    for harm in [
        Harm::None,
        Harm::Reset,
        Harm::LoseReply,
        Harm::Duplicate,
        Harm::BlackHole,
        Harm::None,
    ] {
        let before = proxy.connections();
        proxy.harm(harm);
        for _ in 0..20 {
            agent.push(first_ms, pushed).await;
            pushed += 1;
        }
        agent.collects(20.0).await;
        wait::until("the agent to meet the harm", async || {
            (proxy.connections() > before).then_some(())
        })
        .await;
    }
    all_pushed_are_there(&server, pushed).await;
    assert!(agent.metric("alluse_remote_retries_total ").await >= 2.0);
    for lost in [
        "alluse_queue_dropped_samples_total{policy=\"drop_oldest\"} ",
        "alluse_remote_refused_samples_total ",
    ] {
        assert_eq!(agent.metric(lost).await, 0.0, "{lost}");
    }
    // Every scrape that was answered is there: the service counted them.
    assert!(agent.program.terminate().await.success());
    let ticks = values(&server, "ticks_total").await;
    let want: Vec<i64> = (1..=*ticks.last().unwrap()).collect();
    assert_eq!(ticks, want, "no scrape is missing");
    println!(
        "{pushed} pushed and {} scraped samples, none lost",
        ticks.len()
    );
}

#[tokio::test]
async fn an_outage_of_the_server_and_a_kill_of_the_agent_in_it_lose_nothing() {
    let _place = wait::place().await;
    let (at_server, at_agent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::start().await;
    let server = Server::start(at_server.path(), QUIET).await;
    let proxy = Proxy::start(&server.program.url).await;
    let mut agent = Agent::start(at_agent.path(), &proxy.url, &service).await;
    let first_ms = first_ms();
    agent.push(first_ms, 0).await;
    all_pushed_are_there(&server, 1).await;

    assert!(server.terminate().await.success());
    let mut pushed = 1;
    let kills = 3;
    for _ in 0..kills {
        for _ in 0..10 {
            agent.push(first_ms, pushed).await;
            pushed += 1;
        }
        agent.collects(10.0).await;
        // Whatever it acknowledged must be on the disk at this very moment.
        agent.push(first_ms, pushed).await;
        pushed += 1;
        agent.program.kill().await;
        agent = Agent::start(at_agent.path(), &proxy.url, &service).await;
    }
    assert!(agent.metric("alluse_queue_recovered_samples ").await >= 33.0);
    let ready = agent.http.get("/-/ready").await;
    assert_eq!(
        ready.status, 200,
        "an outage of the peer is none of the agent's"
    );
    let server = Server::start(at_server.path(), QUIET).await;
    proxy.lead_to(&server.program.url);
    agent.push(first_ms, pushed).await;
    all_pushed_are_there(&server, pushed + 1).await;
    wait::until("the queue to be empty", async || {
        let left = agent.metric("alluse_queue_samples ").await;
        // One scrape, just collected, may be there at any time.
        (left < 30.0).then_some(())
    })
    .await;
    assert!(agent.program.terminate().await.success());
    let ticks: BTreeSet<i64> = values(&server, "ticks_total").await.into_iter().collect();
    let scraped = *ticks.last().unwrap();
    let missing: Vec<i64> = (1..=scraped).filter(|n| !ticks.contains(n)).collect();
    // A scrape that was being read at the moment of a kill was not collected.
    assert!(
        missing.len() <= 2 * kills,
        "missing {missing:?} of {scraped}"
    );
    println!(
        "{pushed} pushed samples, none lost; {} of {scraped} scrapes cut short by {kills} kills",
        missing.len()
    );
}

#[tokio::test]
async fn an_agent_that_is_not_told_where_to_send_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let none = output(&["agent", "--data", &data]).await;
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("--to"));
    let odd = output(&["agent", "--data", &data, "--to", "ftp://x"]).await;
    assert_eq!(odd.status.code(), Some(2));
}
