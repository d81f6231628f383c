//! The command line: it teaches, it answers, and its exit codes say how it went.

use e2e::{program::output, server::Server, wait};
use serde_json::Value;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn help_of_every_command_says_what_it_is_for_and_what_it_takes() {
    for (command, taught) in [
        (
            vec![],
            vec![
                "alluse demo",
                "Exit codes",
                "serve",
                "query",
                "config",
                "completions",
            ],
        ),
        (
            vec!["demo"],
            vec!["--duration", "--seed", "--once", "--json", "[default: 3m]"],
        ),
        (
            vec!["serve"],
            vec!["--listen", "--data", "--config", "127.0.0.1:9400"],
        ),
        (
            vec!["query"],
            vec!["rate(node_cpu_seconds_total[1m])", "--step", "--json"],
        ),
        (vec!["config"], vec!["check"]),
        (
            vec!["config", "check"],
            vec!["ALLUSE__SERVER__LISTEN", "alluse.toml", "--json"],
        ),
        (vec!["completions"], vec!["bash", "zsh", "fish"]),
    ] {
        let mut arguments = command.clone();
        arguments.push("--help");
        let help = output(&arguments).await;
        assert_eq!(help.status.code(), Some(0), "{command:?}");
        let said = text(&help.stdout);
        for part in taught {
            assert!(
                said.contains(part),
                "{command:?} does not teach {part}:\n{said}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_understood_ends_with_usage_on_standard_error() {
    for arguments in [
        vec![],
        vec!["--no-such-flag"],
        vec!["serve", "--no-such-flag"],
        vec!["serve", "--listen", "nowhere"],
        vec!["demo", "--duration", "1s"],
        vec!["demo", "--duration", "soon"],
        vec!["query"],
        vec!["query", "up", "--end", "0"],
        vec!["query", "up", "--last", "1h", "--time", "0"],
        vec!["completions", "no-such-shell"],
        vec!["no-such-command"],
    ] {
        let ended = output(&arguments).await;
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}");
        assert!(ended.stdout.is_empty(), "{arguments:?}");
        assert!(
            text(&ended.stderr).contains("--help"),
            "{arguments:?}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn completions_of_each_shell_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = output(&["completions", shell]).await;
        assert!(script.status.success());
        let script = text(&script.stdout);
        for command in ["demo", "serve", "query", "completions"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

/// Four mistakes of four kinds, each with its place.
const BROKEN: &str = r#"[server]
lisen = "127.0.0.1:1"
[store]
retention = "five years"
[governor]
trust = "blind"
[[capacity]]
name = "x"
query = "sum("
above = 1
"#;

#[tokio::test]
async fn a_broken_configuration_is_told_all_its_mistakes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.toml");
    std::fs::write(&file, BROKEN).unwrap();
    let path = file.to_str().unwrap();

    let checked = output(&["config", "check", path]).await;
    assert_eq!(checked.status.code(), Some(2));
    let said = text(&checked.stdout);
    for (place, key) in [
        (
            ":2:1",
            "server.lisen: is not a known key; did you mean `listen`?",
        ),
        (":4:13", "store.retention"),
        (":6:9", "governor.trust"),
        (":9:9", "capacity[0].query"),
    ] {
        assert!(
            said.contains(&format!("{path}{place}: {key}")),
            "{place} {key}:\n{said}"
        );
    }
    assert_eq!(said.lines().count(), 4, "{said}");

    let json = output(&["config", "check", path, "--json"]).await;
    assert_eq!(json.status.code(), Some(2));
    let mistakes: Vec<Value> = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(mistakes.len(), 4);
    assert_eq!(mistakes[1]["key"], "store.retention");

    // The server does not start on it either.
    let served = output(&["serve", "--config", path]).await;
    assert_eq!(served.status.code(), Some(2));
    assert!(text(&served.stderr).contains("store.retention"));
}

#[tokio::test]
async fn a_sound_configuration_passes_and_a_missing_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sound.toml");
    std::fs::write(&file, "[store]\nretention = \"30d\"\n").unwrap();
    let path = file.to_str().unwrap();
    let sound = output(&["config", "check", path]).await;
    assert_eq!(sound.status.code(), Some(0), "{sound:?}");
    let missing = output(&["config", "check", "/no/such/file.toml"]).await;
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("/no/such/file.toml"));
}

#[tokio::test]
async fn query_prints_a_table_for_people_and_json_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "").await;
    let url = server.program.url.as_str();
    server.answered("node_load1").await;

    let table = output(&["query", "--url", url, "node_load1"]).await;
    assert!(table.status.success(), "{table:?}");
    let (series, value) = text(&table.stdout)
        .trim()
        .split_once('\t')
        .map(own)
        .unwrap();
    assert!(series.starts_with("node_load1"), "{series}");
    assert!(value.parse::<f64>().is_ok(), "{value}");

    let json = output(&["query", "--url", url, "--json", "1 + 1"]).await;
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["status"], "success");
    assert_eq!(json["data"]["result"][1], "2");

    let range = ["--start", "0", "--end", "60", "--step", "30s"];
    let mut arguments = vec!["query", "--url", url, "vector(7)"];
    arguments.extend(range);
    let range = text(&output(&arguments).await.stdout);
    let points: Vec<&str> = range.lines().skip(1).collect();
    assert_eq!(points, ["  0\t7", "  30\t7", "  60\t7"], "{range}");

    let last = ["--last", "20s", "--chart", "always", "vector(7)"];
    let drawn = output(&[&["query", "--url", url][..], &last].concat()).await;
    let line = format!("{{}}\n  {}  min 7  max 7  last 7", "▁".repeat(21));
    assert_eq!(text(&drawn.stdout).trim_end(), line, "{drawn:?}");
    let unclear = output(&["query", "--url", url, "--last", "soon", "up"]).await;
    assert_eq!(unclear.status.code(), Some(2));
    assert!(
        text(&unclear.stderr).contains("--last \"soon\""),
        "{unclear:?}"
    );

    let wrong = output(&["query", "--url", url, "sum("]).await;
    assert_eq!(wrong.status.code(), Some(1));
    let told = text(&wrong.stderr);
    assert!(told.contains("1:5"), "{told}");
    assert!(told.ends_with("\n  sum(\n      ^\n"), "{told}");
    assert!(server.terminate().await.success());

    let nobody = output(&["query", "--url", "http://127.0.0.1:1", "up"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("127.0.0.1:1"), "{nobody:?}");
}

#[tokio::test]
async fn an_analysis_shows_what_each_operator_took() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "").await;
    let url = server.program.url.as_str();
    server.answered("rate(node_cpu_seconds_total[1m])").await;
    let query = "sum by (mode) (rate(node_cpu_seconds_total[1m]))";
    let asked = ["query", "--url", url, "--analyze", query];

    let told = output(&asked).await;
    assert!(told.status.success(), "{told:?}");
    let told = text(&told.stdout);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("1 step(s) in "), "{told}");
    let operators = lines[2..]
        .iter()
        .map(|line| line.split('\t').next().unwrap());
    let expected = ["sum", "  rate()", "    range"];
    assert_eq!(operators.collect::<Vec<_>>(), expected, "{told}");

    let range = ["--start", "1", "--end", "61", "--step", "30s"];
    for times in [&[][..], &range] {
        let mut arguments = vec!["query", "--url", url, "--json", "--analyze", query];
        arguments.extend(times);
        let json = output(&arguments).await;
        let json: Value = serde_json::from_slice(&json.stdout).unwrap();
        let data = &json["data"];
        let number = |value: &Value| value.as_f64().unwrap();
        let (sum, rate) = (&data["plan"], &data["plan"]["operands"][0]);
        // What the operators took fits into what the whole took, and what they read is the whole.
        let (outer, inner) = (number(&sum["took"]["time"]), number(&rate["took"]["time"]));
        let whole = number(&data["stats"]["timings"]["innerEvalTime"]);
        assert!(inner <= outer && outer <= whole, "{json}");
        let read = &data["stats"]["samples"]["samplesRead"];
        assert_eq!(&rate["took"]["samplesRead"], read, "{json}");
        assert_eq!(sum["took"]["points"], data["answer"]["points"], "{json}");
        assert_eq!(rate["operands"][0].get("took"), None, "{json}");
    }

    let wrong = output(&["query", "--url", url, "--analyze", "sum("]).await;
    assert_eq!(wrong.status.code(), Some(1));
    let both = output(&["query", "--analyze", "--explain", "up"]).await;
    assert_eq!(both.status.code(), Some(2));
}

fn own((a, b): (&str, &str)) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[tokio::test]
async fn two_servers_cannot_share_an_address_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "").await;
    let address = server.program.url.trim_start_matches("http://").to_owned();
    let other = tempfile::tempdir().unwrap();
    let data = other.path().to_str().unwrap();
    let ended = output(&["serve", "--listen", &address, "--data", data]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("in use"), "{ended:?}");
    // Nor the same data.
    let data = folder.path().join("data").display().to_string();
    let ended = output(&["serve", "--listen", "127.0.0.1:0", "--data", &data]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("store"), "{ended:?}");
    // And the first one has not noticed.
    wait::until("the first server", async || {
        server
            .http
            .try_get("/-/healthy")
            .await
            .filter(|r| r.status == 200)
    })
    .await;
}

#[tokio::test]
async fn a_trial_that_no_test_could_judge_is_a_mistake_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trial.toml");
    let config = r#"[[target]]
name = "a"
url = "http://127.0.0.1:1"
objective = { name = "o", query = "up" }
trial = { pairs_max = 10000 }
"#;
    std::fs::write(&file, config).unwrap();
    let checked = output(&["config", "check", file.to_str().unwrap()]).await;
    assert_eq!(checked.status.code(), Some(2));
    let said = text(&checked.stdout);
    assert!(
        said.contains("target[0].trial.pairs_max: 10000 is outside 1 to 1000"),
        "{said}"
    );
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_is_named() {
    let ended = output(&["serve", "--listen", "127.0.0.1:0", "--data", "/dev/null/x"]).await;
    assert_eq!(ended.status.code(), Some(1));
    let said = text(&ended.stderr);
    assert!(
        said.contains("/dev/null/x") && said.contains("directory"),
        "{said}"
    );
}
